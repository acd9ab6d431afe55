"""``xenp2m replay``: operations on the P2M of a chosen era, one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import click

from xenp2m.cli.arguments import ADDRESS, PAGES, VERSION
from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError, XenP2MError, shorten
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64
from xenp2m.kernel import Version
from xenp2m.logs.textfile import read_text
from xenp2m.model.builder import ORDERS
from xenp2m.replay import codes, is_verified, parse_row, replay_row, run, runtime_of, start
from xenp2m.replay_input import OPERATIONS
from xenp2m.views.replay_text import replay_lines
from xenp2m.views.text import wrapped

__all__ = ["command"]

_OP = re.compile(r"(rt|g|s|__s|es|ri|bu|bd|fm|fu|m2p|pte|save)(?::(.+))?")
_LIKE_OP = re.compile(r"\w{1,12}:(?:0x[0-9a-fA-F]*|\d*)(?:[-=].*)?")
"""What somebody meant as an operation, though there is none of that name."""
_FORMS = (
    "ri:START-END, es:PFN=WORD, rt, s:PFN=WORD, __s:PFN=WORD, g:PFN, bu:PFN=MFN, bd:PFN, fm:PFN=MFN, fu:PFN,"
    " m2p:MFN, pte:PFN or save, or a file of rows"
)


@click.command(
    "replay",
    epilog="The balloon stops where identity reached too far: xenp2m replay --rules seed"
    " ri:0x93c00-0x100000 rt save bu:0x80000=0x500000",
)
@click.argument("what", nargs=-1, required=True, metavar="OPERATION...|ROWS")
@click.option("--kernel", type=VERSION, help="Linux version whose rules are used.")
@click.option("--rules", metavar="NAME", help="A rule set by its name, such as seed or 3.12.")
@click.option("--bits", type=click.Choice(["64", "32"]), default="64", help="Word size of the guest.")
@click.option("--entries", type=click.IntRange(2, 1024), help="Entries a page, for a toy geometry.")
@click.option(
    "--nr-pages", type=PAGES, help="Pages of the builder's list. [default: 1 GiB, or a leaf page and a half]"
)
@click.option("--mfn-base", type=ADDRESS, default=1 << 20, help="Lowest MFN of the list.")
@click.option("--mfns", type=click.Choice(ORDERS), default="ascending", help="Order of the list.")
@click.option("--seed", type=click.IntRange(0, 1 << 32), default=0, help="Of a scrambled list.")
@click.option("--verbose", is_flag=True, help="Every row of every table.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
def command(what: tuple[str, ...], as_json: bool, verbose: bool, **said: Any) -> int:  # noqa: ANN401
    """Do operations on the P2M of a chosen era: what each returned, the map, the tree, the pages.

    OPERATIONS are ri:START-END (identity over a range), es:PFN=WORD (early set), rt (the page
    allocator is up), s:PFN=WORD (set), __s:PFN=WORD (set without allocation), g:PFN (get), done in
    order on a list that the builder made. A WORD is an MFN, INVALID, identity, or foreign:MFN.
    ROWS is a file of JSON rows ("-" for standard input), each with rules, list and operations.

    What happens around the P2M: after rt, bu:PFN=MFN and bd:PFN (the balloon takes a page from Xen, gives
    one back), fm:PFN=MFN and fu:PFN (map and unmap a foreign page, with the M2P override up to 3.19); at any
    time m2p:MFN (mfn_to_pfn), pte:PFN (the page-table entry made for it), save or save:END (what tools
    read, and what of it they do not accept).
    """
    if all(_OP.fullmatch(word) for word in what):
        rows = [_Row("", _row(what, said))]
    elif len(what) == 1 and (not _LIKE_OP.fullmatch(what[0]) or Path(what[0]).exists()):
        rows = _rows(read_text(what[0]), what[0])
    else:
        bad = next(word for word in what if not _OP.fullmatch(word))
        raise InputError("replay", _FORMS, shorten(bad))
    status = 0
    for number, row in enumerate(rows):
        if number and not as_json:
            click.echo()
        status = max(status, _json(row) if as_json else _text(row, verbose))
    return status


class _Row(NamedTuple):
    """One row: where it stands ("" for a command line), and its value, or why it has none."""

    where: str
    value: object


class _TwiceError(Exception):
    """A key stands twice in one object."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _rows(text: str, where: str) -> list[_Row]:
    """JSON values, one a line; a line that is none becomes a row that answers with the reason."""
    name = "standard input" if where == "-" else where
    rows = [
        _parsed(line, f"{name}:{number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()
    ]
    if not rows:
        raise InputError(name, "rows of JSON, one a line", "none")
    return rows


def _parsed(line: str, where: str) -> _Row:
    try:
        return _Row(where, json.loads(line, object_pairs_hook=_object))
    except _TwiceError as twice:
        return _Row(where, InputError(where, "each key once", f"{shorten(str(twice))} twice"))
    except (ValueError, RecursionError):
        return _Row(where, InputError(where, "a JSON object", shorten(line.strip())))


def _json(row: _Row) -> int:
    refused = isinstance(row.value, InputError)
    answer: dict[str, Any] = {"schema": 1, "error": str(row.value)} if refused else replay_row(row.value)
    click.echo(json.dumps(answer))
    return 2 if "error" in answer else int("bug" in answer["out"] or bool(answer["out"]["findings"]))


def _text(row: _Row, verbose: bool) -> int:
    """Answer one row in text. A bad row of a file is told on standard error, and the next one is answered."""
    try:
        if isinstance(row.value, InputError):
            raise row.value
        request = parse_row(row.value)
    except XenP2MError as bad:
        if not row.where:
            raise
        said = str(bad) if isinstance(row.value, InputError) else f"{row.where}: {bad}"
        click.echo(f"xenp2m: {' '.join(said.split())}", err=True)
        return 2
    assert isinstance(row.value, dict)
    if row.where:
        named = row.value.get("id")
        click.echo(row.where + (f" · {shorten(named)}" if isinstance(named, (str, int)) else ""))
    p2m = start(request)
    outcomes = list(run(p2m, request.ops, runtime_of(request, p2m)))
    left, verified = len(request.ops) - len(outcomes), is_verified(row.value, p2m)
    for line in replay_lines(p2m, outcomes, left, verified, width=columns(), verbose=verbose, paint=paint):
        click.echo(line)
    found = codes(p2m, outcomes)
    if found:
        click.echo(wrapped(f"findings: {', '.join(found)} (xenp2m explain CODE tells the story)", columns()))
    return int(bool(found) or (bool(outcomes) and outcomes[-1].bug is not None))


def _row(words: tuple[str, ...], said: dict[str, Any]) -> dict[str, Any]:
    """The row that a command line describes."""
    kernel: Version | None = said["kernel"]
    row: dict[str, Any] = {"bits": int(said["bits"])}
    if said["rules"] is not None and kernel is not None:
        raise InputError("replay", "--rules or --kernel", "both")
    if said["rules"] is not None:
        row["rules"] = said["rules"]
    else:
        row["kernel"] = str(kernel or Version(3, 12))
    if said["entries"] is not None:
        row["entries"] = said["entries"]
    default = 1 << 18 if said["entries"] is None else said["entries"] + said["entries"] // 2
    row["in"] = {
        "nr_pages": said["nr_pages"] or default,
        "mfn_base": said["mfn_base"],
        "mfns": said["mfns"],
        "seed": said["seed"],
        "ops": [_operation(word, said) for word in words],
    }
    return row


def _operation(word: str, said: dict[str, Any]) -> list[Any]:
    match = _OP.fullmatch(word)
    assert match is not None
    name, rest = match[1], match[2] or ""
    wanted = OPERATIONS[name]
    separator = "-" if name == "ri" else "="
    parts = rest.split(separator, 1) if wanted == 2 else ([rest] if rest else [])
    if name == "save" and not parts:
        parts = ["0"]
    if len(parts) != wanted:
        raise InputError(f"replay, {shorten(word)}", _FORMS)
    numbers = [_number(parts[0], word)] if parts else []
    if name in ("ri", "bu", "fm"):
        numbers.append(_number(parts[1], word))
    elif len(parts) == 2:
        numbers.append(_value(parts[1], numbers[0], word, said))
    return [name, *numbers]


def _number(text: str, word: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}|\d{1,20}", text):
        raise InputError(f"replay, {shorten(word)}", "a PFN such as 0x93c00", shorten(text))
    return int(text, 16 if text.startswith("0x") else 10)


def _value(text: str, pfn: int, word: str, said: dict[str, Any]) -> int:
    geometry = GEOMETRY_64 if said["bits"] == "64" else GEOMETRY_32
    if text.lower() in ("invalid", "missing"):
        return geometry.invalid
    if text == "identity":
        by_value = (said["rules"] or "").startswith("seed") and said["rules"] != "seed-bit"
        return pfn if by_value else pfn | geometry.identity_bit
    if text.startswith("foreign:"):
        return _number(text.removeprefix("foreign:"), word) | geometry.foreign_bit
    return _number(text, word)
