"""``xenp2m replay``: operations on the P2M of a chosen era, one by one."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from xenp2m.cli.arguments import ADDRESS, PAGES, VERSION
from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError, shorten
from xenp2m.frames import GEOMETRY_32, GEOMETRY_64
from xenp2m.kernel import Version
from xenp2m.model.builder import ORDERS
from xenp2m.replay import is_verified, parse_row, replay_row, run, start
from xenp2m.textfile import read_text
from xenp2m.views.replay_text import replay_lines

__all__ = ["command"]

_OP = re.compile(r"(rt|g|s|__s|es|ri)(?::(.+))?")
_FORMS = "ri:START-END, es:PFN=WORD, rt, s:PFN=WORD, __s:PFN=WORD or g:PFN, or a file of rows"


@click.command("replay")
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
def command(what: tuple[str, ...], as_json: bool, **said: Any) -> int:  # noqa: ANN401
    """Do operations on the P2M of a chosen era: what each returned, the map, the tree, the pages.

    OPERATIONS are ri:START-END (identity over a range), es:PFN=WORD (early set), rt (the page
    allocator is up), s:PFN=WORD (set), __s:PFN=WORD (set without allocation), g:PFN (get), done in
    order on a list that the builder made. A WORD is an MFN, INVALID, identity, or foreign:MFN.
    ROWS is a file of JSON rows ("-" for standard input), each with rules, list and operations.
    """
    if all(_OP.fullmatch(word) for word in what):
        rows: list[object] = [_row(what, said)]
    elif len(what) == 1:
        rows = _rows(read_text(what[0]), what[0])
    else:
        bad = next(word for word in what if not _OP.fullmatch(word))
        raise InputError("replay", _FORMS, shorten(bad))
    return max([_one(row, as_json) for row in rows], default=0)


def _rows(text: str, where: str) -> list[object]:
    """JSON values, one a line; a line that is none becomes a row that answers with the reason."""
    rows: list[object] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError):
                rows.append(InputError(f"{where}:{number}", "a JSON object", shorten(line.strip())))
    if not rows:
        raise InputError(where, "rows of JSON, one a line", "none")
    return rows


def _one(row: object, as_json: bool) -> int:
    if as_json:
        refused = isinstance(row, InputError)
        answer: dict[str, Any] = {"schema": 1, "error": str(row)} if refused else replay_row(row)
        click.echo(json.dumps(answer))
        return 2 if "error" in answer else int("bug" in answer["out"])
    if isinstance(row, InputError):
        raise row
    request = parse_row(row)
    assert isinstance(row, dict)
    p2m = start(request)
    outcomes = list(run(p2m, request.ops))
    for line in replay_lines(
        p2m, outcomes, len(request.ops) - len(outcomes), is_verified(row, p2m), width=columns(), paint=paint
    ):
        click.echo(line)
    return int(bool(outcomes) and outcomes[-1].bug is not None)


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
    separator = {"ri": "-", "g": "", "rt": ""}.get(name, "=")
    parts = rest.split(separator, 1) if separator else ([rest] if rest else [])
    if len(parts) != {"rt": 0, "g": 1}.get(name, 2):
        raise InputError(f"replay, {shorten(word)}", _FORMS)
    numbers = [_number(parts[0], word)] if parts else []
    if name == "ri":
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
