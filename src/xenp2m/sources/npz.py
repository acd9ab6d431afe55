"""Our own file: a map and what is known of its guest, as arrays in a zip archive that numpy opens.

``about.json`` (bytes in an array) holds the facts; a map is ``NAME.words`` or the columns
``NAME.start`` ... ``NAME.step``, whichever is shorter. Nothing is pickled; the same source is written
as the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from xenp2m.checks.stories import STORIES
from xenp2m.errors import InputError, shorten
from xenp2m.findings import Finding
from xenp2m.frames import GEOMETRIES, Kind
from xenp2m.p2m import P2M
from xenp2m.runtable import KINDS, RunTable
from xenp2m.sources.source import MOST_TEXT, Guest, Leaves, Origin, Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from numpy.typing import NDArray

    from xenp2m.sources.feed import Feed

    Progress = Callable[[int, int | None], None]

__all__ = ["read", "save", "sniff"]

_VERSION = 1
_MARK = b"xenp2m.about"
_LIMIT, _RATIO = 256 << 20, 64
_DENSEST = 1032
"""How often its own size deflate unpacks to at most (258 bytes of two bits, zlib's manual)."""
_COLUMNS = {"start": np.int64, "end": np.int64, "kind": np.int8, "mfn": np.int64, "step": np.int8}
_ROW = 26
_STAMP = (1980, 1, 1, 0, 0, 0)
_NUMBER, _MAYBE, _TEXT = (int,), (int, NoneType), (str,)
_ORIGIN = {"name": _TEXT, "format": _TEXT, "size": _MAYBE, "sha256": (str, NoneType)}
_GUEST = {
    "translated": (bool,), "max_pfn": _MAYBE, "form": _TEXT, "p2m_cr3": _NUMBER, "p2m_vaddr": _NUMBER,
    "frame_list_list": _NUMBER, "generation": _MAYBE, "xen": (str, NoneType), "vcpus": _MAYBE,
    "frames": _TEXT, "cr3": (list,),
}  # fmt: skip
_LEAVES = {"space": _TEXT, "identity": _MAYBE, "missing": _MAYBE, "why": _TEXT}


def sniff(head: bytes) -> bool:
    """Whether `head` is the beginning of such a file: its first member has our name."""
    return head.startswith(b"PK\x03\x04") and head[30 : 30 + len(_MARK)] == _MARK


def save(source: Source, file: BinaryIO) -> None:
    """Write `source` without its memory to a new file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in _arrays(source):
            info = zipfile.ZipInfo(f"{name}.npy", _STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def _arrays(source: Source) -> list[tuple[str, NDArray[Any]]]:
    about = {
        "xenp2m": _VERSION,
        "kinds": [kind.value for kind in KINDS],
        "origin": asdict(source.origin),
        "guest": asdict(source.guest) | {"geometry": source.guest.geometry.bits},
        "beyond": [(source.listed or source.p2m).beyond.value, source.p2m.beyond.value],
        "leaves": None,
        "lost": source.lost,
        "inferred": source.inferred,
        "findings": [[each.code, each.what, each.why, each.pfns] for each in source.findings],
    }
    arrays: list[tuple[str, NDArray[Any]]] = _map_arrays("p2m", source.p2m)
    if source.listed is not None:
        arrays += _map_arrays("listed", source.listed)
    if source.m2p is not None:
        arrays.append(("m2p", source.m2p))
    if source.leaves is not None:
        leaves = source.leaves
        about["leaves"] = {
            "space": leaves.space, "identity": leaves.identity, "missing": leaves.missing, "why": leaves.why
        }  # fmt: skip
        arrays.append(("leaves", leaves.frames))
    text = json.dumps(about, sort_keys=True).encode()
    return [(_MARK.decode(), np.frombuffer(text, np.uint8)), *arrays]


def _map_arrays(name: str, p2m: P2M) -> list[tuple[str, NDArray[Any]]]:
    table = p2m.table()
    if _ROW * table.start.size > 8 * len(p2m):
        return [(f"{name}.words", p2m.words(0, len(p2m)))]
    columns: list[NDArray[Any]] = list(table)
    return [
        (f"{name}.{column}", array.astype(dtype, copy=False))
        for (column, dtype), array in zip(_COLUMNS.items(), columns, strict=True)
    ]


def read(path: Path | str | Feed, *, salvage: bool = False, progress: Progress | None = None) -> Source:
    """Read a file that `save` wrote.

    Args:
        path: a regular file.
        salvage: makes no difference but to the words of the error: a column that was cut tells of no run.
        progress: called with bytes unpacked and bytes in all, after each array.

    Raises:
        InputError: it is damaged, of another version, or unpacks to more than a map justifies (256 MiB
            or 64 times the file).
    """
    whole = "a whole .npz of xenp2m" + (", as nothing of a part can be salvaged" if salvage else "")
    name = str(path)
    try:
        with zipfile.ZipFile(Path(name)) as archive:
            return _source(_members(archive, name, progress), name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(name, whole, str(error) or "damage") from None
    except OSError as error:
        raise InputError(name, "a file that can be read", error.strerror or str(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(name, "the arrays of an .npz of xenp2m", shorten(str(error))) from None


def _members(archive: zipfile.ZipFile, name: str, progress: Progress | None) -> dict[str, NDArray[Any]]:
    """Every array, unpacked to at most its size as told, which is bounded."""
    infos = archive.infolist()
    total, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    size = Path(name).stat().st_size
    for info in infos:
        if info.compress_size > size or info.file_size > _DENSEST * info.compress_size:
            text = f"members of at most {size:#x} bytes, each unpacked to at most {_DENSEST} times as many"
            raise InputError(name, text, f"{info.compress_size:#x} and {info.file_size:#x}")
    packed = min(packed, size)
    if len(infos) > 32 or total > max(_LIMIT, _RATIO * packed):
        text = f"at most 32 arrays of {max(_LIMIT, _RATIO * packed):#x} bytes together"
        raise InputError(name, text, f"{len(infos)} of {total:#x} bytes")
    arrays, done = {}, 0
    for info in infos:
        with archive.open(info) as member:
            data = member.read(info.file_size + 1)
        arrays[info.filename.removesuffix(".npy")] = _array(data, f"{name}: {info.filename}")
        done += info.file_size
        if progress:
            progress(done, total)
    return arrays


def _array(data: bytes, where: str) -> NDArray[Any]:
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise InputError(where, "an array of format 1.0", "another format")
    shape, _fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    left = len(data) - stream.tell()
    if len(shape) != 1 or dtype.hasobject or shape[0] * dtype.itemsize != left:
        raise InputError(where, f"one row of plain numbers in {left:#x} bytes", f"{dtype} of shape {shape}")
    return np.frombuffer(data, dtype, offset=stream.tell())


def _source(arrays: dict[str, NDArray[Any]], name: str) -> Source:
    about = json.loads(arrays[_MARK.decode()].tobytes())
    if about["xenp2m"] != _VERSION:
        raise InputError(name, f"version {_VERSION} of the format", shorten(about["xenp2m"]))
    if about["kinds"] != [kind.value for kind in KINDS]:
        raise InputError(name, f"kinds {', '.join(KINDS)}", shorten(about["kinds"]))
    geometry = GEOMETRIES[about["guest"].pop("geometry")]
    facts = _typed(about["guest"], _GUEST)
    guest = Guest(**facts | {"cr3": tuple(_row(facts["cr3"], int))}, geometry=geometry)
    listed_beyond, beyond = (Kind(each) for each in about["beyond"])
    leaves = None
    if about["leaves"] is not None:
        leaves = Leaves(_words(arrays["leaves"]), **_typed(about["leaves"], _LEAVES))
    listed = any(key.startswith("listed.") for key in arrays)
    return Source(
        Origin(**_typed(about["origin"], _ORIGIN)),
        guest,
        _map(arrays, "p2m", P2M([], geometry=geometry, beyond=beyond)),
        listed=_map(arrays, "listed", P2M([], geometry=geometry, beyond=listed_beyond)) if listed else None,
        leaves=leaves,
        lost=tuple(_row(about["lost"], str)),
        inferred=tuple(_row(about["inferred"], str)),
        findings=tuple(_finding(*each) for each in about["findings"]),
        m2p=_words(arrays["m2p"]) if "m2p" in arrays else None,
    )


def _finding(code: str, what: str, why: str, pfns: list[object]) -> Finding:
    ranges = tuple((low, high) for low, high in (_row(each, int) for each in pfns))
    _row([what, why], str)
    return Finding(STORIES[code], what, why, ranges)


def _typed(told: dict[str, Any], kinds: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """`told`, when each of its values is of the types that its name has in `kinds`."""
    for key, value in told.items():
        if type(value) not in kinds[key]:
            raise ValueError(f"{key} cannot be {shorten(value)}")
        if type(value) in (int, str):
            _row([value], type(value))
    return told


def _row(values: object, kind: type) -> list[Any]:
    """`values`, when it is a list of nothing but `kind`; numbers of 64 bits or -1, texts of a paragraph."""
    if not isinstance(values, list):
        raise ValueError(f"expected a list, got {shorten(values)}")
    for value in values:
        if type(value) is not kind or (type(value) is int and not -1 <= value < 1 << 64):
            raise ValueError(f"expected {kind.__name__}, got {shorten(value)}")
        if type(value) is str and len(value) > MOST_TEXT:
            raise ValueError(f"expected a text of up to {MOST_TEXT:,} characters, got {shorten(value)}")
    return values


def _words(array: NDArray[Any]) -> NDArray[np.uint64]:
    if array.dtype != np.uint64:
        raise ValueError(f"expected uint64, got {array.dtype}")
    return array


def _map(arrays: dict[str, NDArray[Any]], name: str, like: P2M) -> P2M:
    if f"{name}.words" in arrays:
        return P2M(_words(arrays[f"{name}.words"]), geometry=like.geometry, beyond=like.beyond)
    columns = [arrays[f"{name}.{column}"] for column in _COLUMNS]
    for array, dtype in zip(columns, _COLUMNS.values(), strict=True):
        if array.dtype != dtype or array.size != columns[0].size:
            raise ValueError(
                f"expected {columns[0].size} of {np.dtype(dtype)}, got {array.size} of {array.dtype}"
            )
    table = RunTable(*columns)
    numbered = np.isin(table.kind, [KINDS.index(k) for k in (Kind.MFN, Kind.FOREIGN, Kind.OTHER)])
    sound = (table.kind >= 0) & (table.kind < len(KINDS)) & (np.abs(table.step) == numbered)
    if not sound.all():
        raise ValueError("a run of a kind or step that does not exist")
    return P2M(table, geometry=like.geometry, beyond=like.beyond)
