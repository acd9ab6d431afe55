"""Three ways to damage a sound input: as bytes, as lines of text, as a JSON value."""

import copy
import json
import re
import struct

__all__ = ["NUMBERS", "in_bytes", "in_json", "in_text"]

NUMBERS = (0, 1, 2, 0x7FFFFFFF, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
"""Where a size, an offset or a count begins to mean something else."""
LONGEST = 1 << 18
"""Bytes of an input at most: damage to what was damaged does not grow for ever."""

_NUMBER = re.compile(rb"0x[0-9a-fA-F]+|\d+")
_ODD = (
    b"", b"-1", b"0", b"0x", b"1e9", b"NaN", b"99999999999999999999999", b"0xffffffffffffffff",
    b"18446744073709551616", b"9" * 5000, "٣".encode(), "²".encode(), b"\x00", b"\xff\xfe", b"\xe2\x80\xa8",
)  # fmt: skip
_VALUES = (
    None, True, False, -1, 0, 1, 1.5, float("inf"), float("nan"), "", "x", "0x10", "1" * 5000, [], {}, [[]],
    [None], {"": 0}, 10**30, -(1 << 63), *NUMBERS,
)  # fmt: skip


def in_bytes(data, other, chance):
    """`data` with one to three things wrong; `other` lends a piece of itself."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        if chance.random() < 0.5:
            at = min(at, chance.randrange(1, 1 << 12))
        match chance.randrange(8):
            case 0:
                del data[at:]
            case 1:
                data[at : at + 8] = struct.pack("<Q", chance.choice(NUMBERS))
            case 2:
                data[at & ~3 : (at & ~3) + 4] = struct.pack("<Q", chance.choice(NUMBERS))[:4]
            case 3:
                data[at & ~7 : (at & ~7) + 8] = struct.pack("<Q", chance.choice(NUMBERS))
            case 4:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 5:
                start = chance.randrange(len(data) + 1)
                data[at:at] = data[start : start + chance.randrange(64)]
            case 6:
                del data[at : at + chance.randrange(1, 64)]
            case 7:
                start = chance.randrange(len(other) + 1)
                piece = other[start : start + chance.randrange(1, 256)]
                data[at : at + len(piece)] = piece
        if not data:
            break
    return bytes(data[:LONGEST])


def in_text(data, other, chance):
    """Lines lost, doubled, joined, cut, exchanged, lent by `other`; numbers that are none; or bytes."""
    if chance.random() < 0.2:
        return in_bytes(data, other, chance)
    lines = data.split(b"\n")
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(lines))
        line = lines[at]
        match chance.randrange(9):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = [line] * chance.randrange(1, 4)
            case 2:
                lines[at : at + 2] = [b"".join(lines[at : at + 2])]
            case 3:
                cut = chance.randrange(len(line) + 1)
                lines[at : at + 1] = [line[:cut], line[cut:]]
            case 4:
                there = chance.randrange(len(lines))
                lines[at], lines[there] = lines[there], line
            case 5:
                theirs = other.split(b"\n")
                start = chance.randrange(len(theirs))
                lines[at:at] = theirs[start : start + chance.randrange(1, 9)]
            case 6 | 7:
                lines[at] = _other_number(line, chance)
            case 8:
                lines[at] = in_bytes(line, other, chance)
        lines = lines or [b""]
    return b"\n".join(lines)[:LONGEST]


def _other_number(line, chance):
    found = list(_NUMBER.finditer(line))
    if not found:
        return line + chance.choice(_ODD)
    match = chance.choice(found)
    number = chance.choice(NUMBERS)
    new = chance.choice((chance.choice(_ODD), b"%d" % number, b"%#x" % number))
    return line[: match.start()] + new + line[match.end() :]


def in_json(data, other, chance):
    """A value, a key or an item exchanged, lost or doubled somewhere inside; or the text damaged."""
    if chance.random() < 0.2:
        return in_text(data, other, chance)
    try:
        value, theirs = json.loads(data), json.loads(other)
    except (ValueError, RecursionError):
        return in_text(data, other, chance)
    for _ in range(chance.randrange(1, 4)):
        value = _changed(value, theirs, chance)
    return json.dumps(value).encode()[:LONGEST]


def _changed(value, theirs, chance):
    """`value` with one thing wrong at some depth; lists and objects are changed in place."""
    if chance.random() < 0.15 or not isinstance(value, (dict, list)) or not value:
        return _odd(value, theirs, chance)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = chance.choice(keys)
    match chance.randrange(8):
        case 0:
            del value[key]
        case 1 if isinstance(value, list):
            value[key:key] = copy.deepcopy([value[key]] * chance.randrange(1, 40))
        case 1:
            value[chance.choice(("", "x", key + "s"))] = copy.deepcopy(value[key])
        case _:
            value[key] = _changed(value[key], theirs, chance)
    return value


def _odd(value, theirs, chance):
    match chance.randrange(6):
        case 0 if isinstance(value, int):
            return value + chance.choice((-1, 1, 4095, -4096, 1 << 32))
        case 1 if isinstance(value, str):
            return chance.choice((value[:-1], value * 2, value.upper(), f"{value}.1"))
        case 2:
            return [copy.deepcopy(value)]
        case 3 if isinstance(theirs, dict) and theirs:
            return copy.deepcopy(theirs[chance.choice(list(theirs))])
        case _:
            return copy.deepcopy(chance.choice(_VALUES))
