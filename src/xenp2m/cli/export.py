"""``xenp2m export``: a map, or the guest's memory, written for other programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from xenp2m.checks.map import map_findings
from xenp2m.cli.jsonpieces import json_pieces
from xenp2m.cli.opening import hashed, open_source, salvage_option
from xenp2m.cli.outfile import check_target, written
from xenp2m.cli.progress import progress, waiting
from xenp2m.errors import InputError
from xenp2m.export.images import Image, write_elf, write_flat
from xenp2m.export.tables import write_csv, write_parquet
from xenp2m.frames import counted
from xenp2m.maps.account import account_of
from xenp2m.sources import npz
from xenp2m.views.map_answer import map_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from xenp2m.sources.source import Source

__all__ = ["command"]

_IMAGES = {"flat": write_flat, "elf": write_elf}
_TEXTS = ("json", "csv")


@click.command("export")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--to",
    "form",
    required=True,
    type=click.Choice([*_IMAGES, *_TEXTS, "parquet", "npz"]),
    help="What to write.",
)
@click.option(
    "--output", "-o", metavar="FILE", help='Where to; "-" (the default of json and csv): the terminal.'
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@salvage_option
def command(source: str, form: str, output: str | None, force: bool, salvage: bool) -> int:
    """Write a map, or the guest's memory, in a form that other programs read.

    flat is the guest's memory by pseudo-physical address, elf the same as an ELF core; in both the
    guest's page tables hold PFNs in place of machine frames, as crash, drgn and volatility3 expect. json
    is what show --json prints, csv and parquet are the runs of the map, npz is
    all but the memory, for xenp2m itself and numpy.

    FILE appears when it is complete, and is left alone when something goes wrong.

    Example: xenp2m export vm.core --to elf -o vm.elf
    """
    if output in (None, "-"):
        if form not in _TEXTS:
            raise click.UsageError(f"expected --output FILE: {form} is not text")
        _write_text(open_source(source, salvage=salvage), form, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    assert output is not None
    check_target(output, force=force)
    opened = open_source(source, salvage=salvage)
    if form == "npz":
        opened = hashed(opened, source, asked=False, as_json=True)
    elif opened.m2p is not None:
        raise InputError(opened.origin.name, "a guest's map", opened.origin.format)
    with written(output, force=force) as file:
        if form in _IMAGES:
            image = _image(opened, file, _IMAGES[form])
        elif form in _TEXTS:
            _write_text(opened, form, file)
        elif form == "npz":
            npz.save(opened, file)
        else:
            write_parquet(opened, file)
    if form in _IMAGES:
        click.echo(_said(opened, image, form))
    return 0


def _image(source: Source, file: BinaryIO, write: Callable[..., Image]) -> Image:
    pages = 0 if source.memory is None else int(source.memory.pfns().size)
    with progress("writing pages", pages) as tell:
        return write(source, file, tell)


def _write_text(source: Source, form: str, file: BinaryIO) -> None:
    if form == "csv":
        write_csv(source, file)
        return
    source = hashed(source, source.origin.name, asked=False, as_json=True)
    with waiting("counting"):
        answer = map_object(source, account_of(source), map_findings(source))
    file.writelines(piece.encode() for piece in json_pieces(answer))
    file.write(b"\n")


def _said(source: Source, image: Image, form: str) -> str:
    """One line about an image."""
    parts = [f"{counted(image.pages)} of memory"]
    if source.guest.frames == "pfn":
        parts.append("page tables hold PFNs already")
    elif not source.guest.translated:
        parts.append(f"{image.tables:,} page tables put into pseudo-physical form")
        if image.inferred:
            parts.append(f"{image.inferred:,} of them known only by how the guest maps them")
        if image.cleared:
            parts.append(f"{image.cleared:,} entries to other frames cleared")
    if form == "elf":
        parts.append("VMCOREINFO found" if image.vmcoreinfo else "no VMCOREINFO found")
    return " · ".join(parts)
