"""Xen's own libraries, as far as reading a domain's P2M needs them, by way of ctypes.

``libxenforeignmemory`` has a stable interface. ``libxenctrl`` has not: its name carries the version
of Xen, and only what has stayed the same from 4.14 to 4.21 is used: ``xc_interface_open``,
``xc_domain_getinfolist``, ``xc_domain_get_guest_width``, ``xc_vcpu_getcontext`` and the start of
``struct xen_domctl_getdomaininfo`` (``xen/include/public/domctl.h``).
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from xenp2m.errors import InputError, UnsupportedError
from xenp2m.frames import PAGE_SIZE
from xenp2m.sources.layout import VCPU_GUEST_CONTEXT

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DOMID_SELF", "Domain", "Toolstack", "XenLibraries"]

DOMID_SELF = 0x7FF0
"""The caller's own domain (``xen/include/public/xen.h``); Xen maps it under no other number."""

_OLDEST, _NEWEST = (4, 14), (4, 21)
_VERSION = Path("/sys/hypervisor/version")
_PROT_READ = 1
_BATCH = 1024
_MOST_VCPUS = 1 << 13
_INFO_BYTES = 1 << 12
"""Room for one ``xen_domctl_getdomaininfo``, many times what any version fills."""
_HVM_GUEST = 1 << 1
_INFO = struct.Struct("<HxxIQQQQQQ")
"""``domain`` and ``flags``; five counts of pages, ``tot_pages`` first; ``shared_info_frame``."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What the hypervisor tells about a domain.

    Attributes:
        domid: its number.
        shared_info: MFN of its ``shared_info``.
        pages: pages it owns.
        word: bytes in a word of the guest.
        cr3: the register of every vCPU whose context Xen hands out; of no vCPU of one's own domain.
    """

    domid: int
    shared_info: int
    pages: int
    word: int
    cr3: tuple[int, ...] = ()


class Toolstack(Protocol):
    """The two questions a live reader asks."""

    xen: str

    def domain(self, domid: int) -> Domain:
        """A PV domain by its number."""

    def pages(self, domid: int, mfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Copies of machine frames of a domain.

        Returns:
            An array of shape (frames, 4096), and which of them could be mapped.
        """


class XenLibraries:
    """A `Toolstack` on the machine this runs on. Everything is mapped for reading only, and copied."""

    def __init__(self) -> None:
        """Load the libraries that belong to the running hypervisor.

        Raises:
            InputError: this is not a domain that may look at others, or a library is missing.
            UnsupportedError: a version of Xen whose libraries are not known here.
        """
        major, minor = _running_version()
        self.xen = f"{major}.{minor}"
        if not _OLDEST <= (major, minor) <= _NEWEST:
            known = ".".join(map(str, _OLDEST)) + " to " + ".".join(map(str, _NEWEST))
            raise UnsupportedError("live", f"Xen {known}, whose libraries are known", f"Xen {self.xen}")
        self._ctrl = _library(f"libxenctrl.so.{self.xen}", self.xen)
        self._foreign = _library("libxenforeignmemory.so.1", self.xen)
        _declare(self._ctrl, self._foreign)
        self._xch = self._ctrl.xc_interface_open(None, None, 0)
        self._fmem = self._foreign.xenforeignmemory_open(None, 0)
        if not self._xch or not self._fmem:
            reason = os.strerror(ctypes.get_errno())
            raise InputError("live", "leave to ask the hypervisor (root in dom0, /dev/xen/privcmd)", reason)

    def domain(self, domid: int) -> Domain:
        """A PV domain by its number (``xc_domain_getinfolist``, ``xc_domain_get_guest_width``).

        Raises:
            InputError: there is none, or it is not a PV domain.
        """
        where = f"live:{domid}"
        buffer = ctypes.create_string_buffer(_INFO_BYTES)
        count = self._ctrl.xc_domain_getinfolist(self._xch, domid, 1, buffer)
        if count < 0:
            raise InputError(where, "leave to ask about domains", os.strerror(ctypes.get_errno()))
        found, flags, pages, *_, frame = _INFO.unpack_from(buffer)
        if count == 0 or found != domid:
            raise InputError(where, "a domain that exists (xl list)", "no such domain")
        if flags & _HVM_GUEST:
            raise UnsupportedError(where, "a PV domain", "an HVM or PVH domain, whose P2M belongs to Xen")
        width = ctypes.c_uint(0)
        if self._ctrl.xc_domain_get_guest_width(self._xch, domid, ctypes.byref(width)) < 0:
            raise InputError(where, "its word size", os.strerror(ctypes.get_errno()))
        if width.value not in (4, 8):
            raise InputError(where, "a word of 4 or 8 bytes", str(width.value))
        vcpus = range(_MOST_VCPUS if domid else 0)
        registers = takewhile(lambda cr3: cr3 is not None, (self._cr3(domid, n, width.value) for n in vcpus))
        return Domain(domid, frame, pages, width.value, tuple(cr3 for cr3 in registers if cr3 is not None))

    def _cr3(self, domid: int, vcpu: int, word: int) -> int | None:
        """``ctrlreg[3]`` of a vCPU (``xc_vcpu_getcontext``), None where there is none."""
        layout = VCPU_GUEST_CONTEXT[word]
        buffer = ctypes.create_string_buffer(VCPU_GUEST_CONTEXT[8].itemsize)
        if self._ctrl.xc_vcpu_getcontext(self._xch, domid, vcpu, buffer) < 0:
            return None
        return int(np.frombuffer(buffer.raw, layout, 1)[0]["ctrlreg"][3])

    def pages(self, domid: int, mfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Copies of machine frames (``xenforeignmemory_map``), `_BATCH` mapped at a time."""
        content = np.zeros((mfns.size, PAGE_SIZE), np.uint8)
        there = np.zeros(mfns.size, np.bool_)
        for low in range(0, mfns.size, _BATCH):
            part = slice(low, low + _BATCH)
            self._copy(domid, np.ascontiguousarray(mfns[part], np.uint64), content[part], there[part])
        return content, there

    def _copy(
        self, domid: int, mfns: NDArray[np.uint64], content: NDArray[np.uint8], there: NDArray[np.bool_]
    ) -> None:
        errors = np.zeros(mfns.size, np.int32)
        address = self._foreign.xenforeignmemory_map(
            self._fmem, domid, _PROT_READ, mfns.size, mfns.ctypes.data, errors.ctypes.data
        )
        if not address:
            return
        try:
            there[:] = errors == 0
            if there.all():
                whole = ctypes.string_at(address, mfns.size * PAGE_SIZE)
                content[:] = np.frombuffer(whole, np.uint8).reshape(content.shape)
            else:  # a page that could not be mapped must not be touched
                for index in np.flatnonzero(there).tolist():
                    page = ctypes.string_at(address + index * PAGE_SIZE, PAGE_SIZE)
                    content[index] = np.frombuffer(page, np.uint8)
        finally:
            self._foreign.xenforeignmemory_unmap(self._fmem, address, mfns.size)


def _running_version() -> tuple[int, int]:
    """Version of the hypervisor below, as its kernel tells it."""
    try:
        major, minor = (int((_VERSION / part).read_text(encoding="ascii")) for part in ("major", "minor"))
    except (OSError, ValueError):
        expected = "a domain under Xen, as root (live: reads the machine this runs on)"
        raise InputError("live", expected, f"no {_VERSION}") from None
    return major, minor


def _library(name: str, xen: str) -> ctypes.CDLL:
    """Load a library from where the loader looks, or from where Debian keeps it by version."""
    last = ""
    for place in (name, *map(str, sorted(Path(f"/usr/lib/xen-{xen}").glob(f"lib/**/{name}")))):
        try:
            return ctypes.CDLL(place, use_errno=True)
        except OSError as error:
            last = str(error)
    raise InputError("live", f"{name}, which belongs to the running Xen {xen}", last)


def _declare(ctrl: ctypes.CDLL, foreign: ctypes.CDLL) -> None:
    """Types of the functions used: handles and addresses are pointers, not ints."""
    pointer, integer, uint, domid = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint32
    size = ctypes.c_size_t
    _typed(ctrl.xc_interface_open, pointer, pointer, pointer, uint)
    _typed(ctrl.xc_domain_getinfolist, integer, pointer, domid, uint, pointer)
    _typed(ctrl.xc_domain_get_guest_width, integer, pointer, domid, pointer)
    _typed(ctrl.xc_vcpu_getcontext, integer, pointer, domid, domid, pointer)
    _typed(foreign.xenforeignmemory_open, pointer, pointer, uint)
    _typed(foreign.xenforeignmemory_map, pointer, pointer, domid, integer, size, pointer, pointer)
    _typed(foreign.xenforeignmemory_unmap, integer, pointer, pointer, size)


def _typed(function: ctypes._NamedFuncPointer, result: Any, *arguments: Any) -> None:  # noqa: ANN401
    function.restype, function.argtypes = result, list(arguments)
