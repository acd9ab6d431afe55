"""Where a kernel's own code stops: not an error of the program, but an outcome that callers report."""

from __future__ import annotations

__all__ = ["BrkExhaustedError", "StoreBeyondEndError"]


class BrkExhaustedError(Exception):
    """``extend_brk`` beyond its area: a BUG."""


class StoreBeyondEndError(Exception):
    """A store of anything but INVALID past the end of the P2M: the kernel's BUG_ON.

    Attributes:
        pfn: the frame.
    """

    def __init__(self, pfn: int) -> None:
        self.pfn = pfn
        super().__init__(f"store past the end of the P2M at PFN {pfn:#x}")
