"""The list of MFNs as the domain builder leaves it: ascending, descending, or scrambled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ORDERS", "mfn_list"]

ORDERS = ("ascending", "descending", "scrambled")
_LARGEST = 10
"""log2 of the largest piece of a scrambled list, 4 MiB."""


def mfn_list(pages: int, base: int, order: str, seed: int = 0) -> NDArray[np.int64]:
    """A builder's list.

    Args:
        pages: entries.
        base: lowest MFN; the list holds ``[base, base + pages)``, each once.
        order: ``ascending``; ``descending``, as Xen handed out frames in 2011; or ``scrambled``, as on
            a host where many guests came and went: pieces of 1 to 1024 frames, aligned to their size,
            in random order, each of them one way or the other.
        seed: of the scrambling; the same seed gives the same list.

    Returns:
        MFNs by PFN. O(pages).
    """
    whole = np.arange(base, base + pages, dtype=np.int64)
    if order == "ascending":
        return whole
    if order == "descending":
        return whole[::-1].copy()
    chance = np.random.default_rng(seed)
    pieces = _pieces(pages, chance)
    chance.shuffle(pieces)
    turned = [whole[a:b][::-1] if chance.random() < 0.5 else whole[a:b] for a, b in pieces]
    return np.concatenate(turned)


def _pieces(pages: int, chance: np.random.Generator) -> list[tuple[int, int]]:
    """Cut ``[0, pages)`` into pieces of powers of two, each aligned to its size."""
    pieces = []
    start = 0
    while start < pages:
        aligned = (start & -start).bit_length() - 1 if start else _LARGEST
        order = int(chance.integers(0, min(aligned, _LARGEST) + 1))
        end = min(pages, start + (1 << order))
        pieces.append((start, end))
        start = end
    return pieces
