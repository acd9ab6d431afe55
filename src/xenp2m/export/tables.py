"""A map's runs as a table: CSV and Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.errors import InputError
from xenp2m.runtable import KINDS

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

    from xenp2m.sources.source import Source

__all__ = ["COLUMNS", "write_csv", "write_parquet"]

COLUMNS = ("start_pfn", "end_pfn", "kind", "mfn", "step")
"""Columns of the table: half-open PFNs, the kind's name, the number behind `start_pfn` and its step
(1, -1, or 0 for kinds without a number)."""

_CHUNK = 1 << 16


def write_csv(source: Source, file: BinaryIO) -> None:
    """One line a run, a heading first; no number stands where a kind has none."""
    table = source.p2m.table()
    names = [kind.value for kind in KINDS]
    file.write((",".join(COLUMNS) + "\r\n").encode())
    for low in range(0, table.start.size, _CHUNK):
        rows = zip(*(column[low : low + _CHUNK].tolist() for column in table), strict=True)
        text = "".join(
            f"{start},{end},{names[kind]},{mfn if step else ''},{step}\r\n"
            for start, end, kind, mfn, step in rows
        )
        file.write(text.encode())


def write_parquet(source: Source, file: BinaryIO) -> None:
    """One row a run; where the map came from stands in the file's metadata.

    Raises:
        InputError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError("--to parquet", "pyarrow: pip install 'xenp2m[arrow]'", "none") from None
    table = source.p2m.table()
    numbers = pa.array(table.mfn.astype(np.uint64), mask=table.step == 0)
    columns: list[Any] = [table.start, table.end, _kinds(table.kind), numbers, table.step]
    facts = {
        "xenp2m.source": source.origin.name,
        "xenp2m.format": source.origin.format,
        "xenp2m.beyond": source.p2m.beyond.value,
        "xenp2m.bits": str(source.guest.geometry.bits),
    }
    arrow = pa.table(dict(zip(COLUMNS, columns, strict=True))).replace_schema_metadata(facts)
    pq.write_table(arrow, file)


def _kinds(codes: NDArray[np.int8]) -> Any:  # noqa: ANN401 (an array of pyarrow)
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(codes, pa.array([kind.value for kind in KINDS]))
