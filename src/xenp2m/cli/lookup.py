"""``xenp2m lookup``: PFNs, MFNs and addresses of any space through a map that was read."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING

import click

from xenp2m.cli.arguments import ADDRESS
from xenp2m.cli.opening import complain, open_source, salvage_option
from xenp2m.cli.progress import waiting
from xenp2m.cli.terminal import columns, paint
from xenp2m.errors import InputError
from xenp2m.maps.translate import Item, Translator, parse_item
from xenp2m.views.lookup_text import answer_line, answer_object, answers_lines, refused_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["command"]

_BATCH = 1 << 14
_LONGEST = 200


@click.command("lookup")
@click.argument("source", metavar="SOURCE")
@click.argument("items", nargs=-1, metavar="ITEM...")
@click.option("--cr3", type=ADDRESS, help="Walk page tables from this value of the register.")
@click.option("--vcpu", type=click.IntRange(0), help="Walk from this vCPU's. [default: the first known]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@salvage_option
def command(
    source: str, items: tuple[str, ...], cr3: int | None, vcpu: int | None, as_json: bool, salvage: bool
) -> int:
    """Look frames and addresses up in a map that was read.

    SOURCE is as for show. ITEM is a PFN (0x9f), mfn:0x1700ff, a pseudo-physical address (paddr:0x9f000, or
    a size such as 2364M), a machine address (maddr:0x1700ff000) or a virtual one (vaddr:0xffffffff81000000),
    which is walked through the guest's own page tables. Without ITEM, or with "-", items are read from
    standard input, one a line, and answered in lines of tabs: item, PFN, kind, MFN.

    Example: xenp2m lookup vm.core 0x9f mfn:0x1700ff
    """
    if cr3 is not None and vcpu is not None:
        raise click.UsageError("expected --cr3 or --vcpu, got both")
    batch = not items or items == ("-",)
    if batch and source == "-":
        raise click.UsageError('expected items: standard input cannot be both SOURCE and "-"')
    words = [] if batch else [parse_item(item) for item in items]
    translator = Translator(open_source(source, salvage=salvage), cr3, vcpu)
    if batch:
        return _batch(translator, as_json)
    with waiting("looking up"):
        answers = translator.answers(words)
    if as_json:
        for answer in answers:
            click.echo(json.dumps(answer_object(answer)))
    else:
        for line in answers_lines(answers, columns(), paint):
            click.echo(line)
    return 0


def _batch(translator: Translator, as_json: bool) -> int:
    """Answer standard input in blocks; a line that is no item is refused by itself."""
    status = 0
    lines = _lines()
    while block := list(islice(lines, _BATCH)):
        items, refused = _parsed(block)
        with waiting("looking up"):
            answers = translator.answers(items)
        told = (json.dumps(answer_object(a)) if as_json else answer_line(a) for a in answers)
        for index in range(len(block)):
            error = refused.get(index)
            if error is None:
                sys.stdout.write(f"{next(told)}\n")
                continue
            status = 2
            if as_json:
                sys.stdout.write(f"{json.dumps(refused_object(block[index][1], str(error)))}\n")
            else:
                complain(str(error))
        sys.stdout.flush()
    return status


def _lines() -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank."""
    raw: Iterable[bytes] = sys.stdin.buffer
    for number, line in enumerate(raw, 1):
        text = line[: _LONGEST + 1].decode("utf-8", "replace").strip()
        if text:
            yield number, text


def _parsed(block: list[tuple[int, str]]) -> tuple[list[Item], dict[int, InputError]]:
    items: list[Item] = []
    refused: dict[int, InputError] = {}
    for index, (number, text) in enumerate(block):
        try:
            items.append(parse_item(text))
        except InputError as error:
            refused[index] = InputError(f"standard input:{number}", error.expected, error.got)
    return items, refused
