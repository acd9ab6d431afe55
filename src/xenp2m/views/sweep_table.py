"""The rows of a sweep as CSV, as Parquet and as JSON."""

from __future__ import annotations

import csv
import io
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xenp2m.errors import InputError
from xenp2m.sweep.cases import Row
from xenp2m.views.answer import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xenp2m.sweep.find import Found

__all__ = ["csv_bytes", "found_object", "parquet_bytes", "sweep_object"]


def csv_bytes(rows: Iterable[Row]) -> bytes:
    """Comma-separated values with a head line, as RFC 4180 has them, in UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Row._fields)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """A Parquet file of the same columns: numbers as 64-bit integers, the rest as text.

    Raises:
        InputError: pyarrow is not installed.
    """
    try:
        arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("-o", "pyarrow for Parquet (pip install 'xenp2m[arrow]')", "none") from None
    numbers = {name for name, value in Row._field_defaults.items() if isinstance(value, int)}
    kinds = [arrow.int64() if name in numbers else arrow.string() for name in Row._fields]
    schema = arrow.schema(list(zip(Row._fields, kinds, strict=True)))
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in Row._fields]
    arrays = [arrow.array(values, each.type) for values, each in zip(columns, schema, strict=True)]
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(arrays, schema=schema), buffer)
    return buffer.getvalue()


def _head(hosts: int, skipped: Iterable[tuple[str, str]]) -> dict[str, Any]:
    told = [{"where": where, "reason": reason} for where, reason in skipped]
    return {"schema": SCHEMA, "hosts": hosts, "skipped": told}


def _object(row: Row) -> dict[str, Any]:
    return row._asdict() | {"findings": row.findings.split()}


def sweep_object(hosts: int, skipped: Iterable[tuple[str, str]], rows: Iterable[Row]) -> dict[str, Any]:
    """All rows as one JSON object."""
    return _head(hosts, skipped) | {"rows": [_object(row) for row in rows]}


def found_object(hosts: int, skipped: Iterable[tuple[str, str]], found: Iterable[Found]) -> dict[str, Any]:
    """The smallest failing values as one JSON object."""
    lines = [
        {
            "host": each.example.host,
            "kernel": each.example.kernel,
            "rules": each.example.rules,
            "how": each.how,
            "plans": each.plans,
            "values": each.values,
            "failing": each.failing,
            "first": None if each.row is None else _object(each.row),
            "before": None if each.before is None else _object(each.before),
            "error": each.example.error,
        }
        for each in found
    ]
    return _head(hosts, skipped) | {"found": lines}
