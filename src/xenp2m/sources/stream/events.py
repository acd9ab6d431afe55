"""What a walk through a stream meets, in the order in which it lies there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xenp2m.sources.stream.wire import name_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Event", "Fault", "Header", "Pages", "Record"]


@dataclass(frozen=True, slots=True)
class Header:
    """A header of one layer.

    Attributes:
        layer: ``xl``, ``libxl``, ``image`` or ``domain``.
        offset: in bytes from the start of the input.
        data: the header as it stands there (of ``xl`` without the optional data).
        extra: the optional data of ``xl``, which holds the domain's configuration.
    """

    layer: str
    offset: int
    data: bytes
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, its pages excepted.

    Attributes:
        layer: ``libxl`` or ``libxc``.
        number: position among all records of the input, from 0.
        offset: of its header.
        type: as stored, the optional bit included.
        length: bytes of the body without padding.
        body: the body, None where it is long and nothing here reads it.
    """

    layer: str
    number: int
    offset: int
    type: int
    length: int
    body: bytes | None

    @property
    def name(self) -> str:
        """Name of the type."""
        return name_of(self.layer, self.type)


@dataclass(frozen=True, slots=True)
class Pages:
    """One PAGE_DATA record or many that follow each other.

    Attributes:
        number: of the first record.
        offsets: of every record's header.
        counts: PFN words of every record.
        words: the PFN words of all of them: type in bits 63 to 60, PFN in bits 51 to 0.
        places: offset of every word's page in the input, -1 where it carries none.
        kept: pages that the walk was asked to keep, by position in `words`.
    """

    number: int
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    words: NDArray[np.uint64]
    places: NDArray[np.int64]
    kept: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a sound stream does not have.

    Attributes:
        code: of the finding.
        where: ``record 5 (PAGE_DATA)`` or a header's name.
        offset: of the field, in bytes.
        expected: what should be there.
        got: what is.
        fatal: the restoring side cannot make sense of the stream, so a reader must not go on silently.
    """

    code: str
    where: str
    offset: int
    expected: str
    got: str
    fatal: bool = False


Event = Header | Record | Pages | Fault
