"""A map that was read, as text: where it came from, what it consists of, how contiguous it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.frames import Kind
from xenp2m.views.bins import memory_end
from xenp2m.views.findings_text import findings_lines
from xenp2m.views.palette import LOOKS, parts
from xenp2m.views.strip import strip
from xenp2m.views.text import Paint, plain, plural, rows, size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xenp2m.extents import Run
    from xenp2m.findings import Finding
    from xenp2m.maps.account import Account, Contiguity, LeafPages
    from xenp2m.sources.source import Guest, Source

__all__ = ["map_lines", "title_of"]

_ROWS = 20


def title_of(source: Source) -> str:
    """One line about a source: its format, the guest, where it came from."""
    guest, facts = source.guest, [source.origin.format]
    if source.outcome is not None:
        facts.append(str(source.outcome))
    if source.m2p is None:
        facts.append(f"{guest.geometry.bits}-bit guest")
    if guest.xen is not None:
        facts.append(f"Xen {guest.xen}")
    if guest.vcpus is not None:
        facts.append(plural(guest.vcpus, "vCPU"))
    name = "standard input" if source.origin.name == "-" else source.origin.name
    return f"{' · '.join(facts)}   from {name}"


def map_lines(
    source: Source,
    account: Account,
    findings: Sequence[Finding],
    *,
    width: int = 80,
    verbose: bool = False,
    unicode: bool = True,
    paint: Paint = plain,
) -> Iterator[str]:
    """Lines of text about one map.

    Args:
        source: what was read.
        account: what it consists of.
        findings: what was noticed.
        width: columns of the terminal.
        verbose: all rows, run lengths, what to do about notes.
        unicode: block characters, or ASCII.
        paint: puts styles on text.
    """
    yield paint(wrapped(title_of(source), width, "", "  "), "head")
    yield ""
    if account.runs:
        end = _shown_end(source, account)
        yield from strip(parts(account.stretches), end, width, unicode=unicode, paint=paint)
        yield ""
        yield from _table(source, account, width, verbose, paint)
        yield ""
    if account.m2p is None:
        yield from _sums(account, width)
    else:
        total, known = account.m2p
        yield wrapped(f"a machine's M2P of {total:,} frames, {known:,} of them with a PFN", width)
    if verbose and account.contiguity.lengths:
        yield ""
        yield from _lengths(account.contiguity, width, unicode, paint)
        yield ""
    yield from _facts(source, account, width)
    yield from findings_lines(findings, width, verbose=verbose, paint=paint)


def _shown_end(source: Source, account: Account) -> int:
    """Where the strip ends: behind the map, or behind its memory where the map goes on far above it."""
    end = memory_end(source.p2m)
    return account.entries if account.entries < 2 * end else end


def _table(source: Source, account: Account, width: int, verbose: bool, paint: Paint) -> Iterator[str]:
    rest = account.first if account.runs <= _ROWS else account.first[: _ROWS - 4]
    shown = source.p2m.extents() if verbose else rest
    table = [("frames", "", "size", "kind", "behind the first")]
    for run in shown:
        span = (f"{run.start:#x}", f"- {run.end:#x}")
        table.append((*span, size(run.pages), run.kind.value, _behind(run)))
    lines = iter(rows(table, frozenset({2}), width))
    yield paint(next(lines), "dim")
    yield from lines
    hidden = account.runs - len(shown)
    if hidden:
        yield f" … {plural(hidden, 'more row')} up to {account.entries:#x} (--verbose)"
    yield paint(wrapped("frames are PFNs, the end not included", width), "dim")


def _behind(run: Run) -> str:
    if not run.step:
        return ""
    word = {Kind.MFN: "mfn", Kind.FOREIGN: "mfn", Kind.OTHER: "word"}[run.kind]
    return f"{word} {run.mfn:#x}" + (", descending" if run.step < 0 else "")


def _sums(account: Account, width: int) -> Iterator[str]:
    counts = [f"{LOOKS[kind.value].text} {size(pages)} ({pages:,})" for kind, pages in account.kinds.items()]
    yield wrapped(f"{plural(account.entries, 'frame')}: {' · '.join(counts) or 'none'}", width, " ", "   ")
    found = account.contiguity
    longest = found.longest
    if not found.runs:
        return
    parts = [plural(found.runs, "run")]
    if found.descending:
        parts[0] += f" ({found.descending:,} descending)"
    if longest is not None:
        parts.append(f"the longest {size(longest.pages)} from {longest.start:#x} (mfn {longest.mfn:#x})")
    held = account.kinds[Kind.MFN]
    for name, pages in (("2 MiB", found.pages_2m), ("1 GiB", found.pages_1g)):
        share = f"{size(pages)} ({100 * pages / held:.0f} %)" if pages else "none"
        parts.append(f"as {name} pages {share}")
    yield wrapped(f"contiguity: {' · '.join(parts)}", width, " ", "   ")


def _lengths(found: Contiguity, width: int, unicode: bool, paint: Paint) -> Iterator[str]:
    total = sum(row.pages for row in found.lengths)
    bar = LOOKS["mfn"].glyph if unicode else LOOKS["mfn"].plain
    table = [("run length", "runs", "size", "share", "")]
    for row in found.lengths:
        share = row.pages / total
        table.append(
            (
                f"from {size(1 << row.order)}",
                f"{row.runs:,}",
                size(row.pages),
                f"{100 * share:.1f} %",
                bar * round(20 * share),
            )
        )
    lines = iter(rows(table, frozenset({0, 1, 2, 3}), width))
    yield paint(next(lines), "dim")
    yield from lines


def _list(guest: Guest, leaves: LeafPages | None) -> str:
    """Where the guest's list lies and what it costs."""
    if guest.translated:
        return "the list: none, Xen keeps the map of this guest (HVM or PVH)"
    if leaves is None or not guest.form:
        return "the list: its pages are not in the input"
    facts = [guest.form]
    if guest.form == "linear list" and guest.p2m_vaddr:
        facts[0] += f" at {guest.p2m_vaddr:#x}"
    if guest.max_pfn is not None:
        facts.append(f"max_pfn {guest.max_pfn:#x}")
    if guest.generation is not None:
        facts.append(f"generation {guest.generation}")
    facts.append(f"{plural(leaves.entries, 'leaf page')}, {plural(leaves.distinct, 'frame')} of their own")
    if leaves.identity:
        facts.append(f"one identity page stands for {leaves.identity:,} of them")
    if leaves.missing:
        facts.append(f"one missing page stands for {leaves.missing:,}")
    if leaves.shared:
        facts.append(f"{plural(len(leaves.shared), 'other page')} stand more than once")
    if leaves.absent:
        facts.append(f"{leaves.absent:,} absent")
    return f"the list: {' · '.join(facts)}"


def _facts(source: Source, account: Account, width: int) -> Iterator[str]:
    if source.m2p is None:
        yield wrapped(_list(source.guest, account.leaves), width, " ", "   ")
    yield from _said("inferred", source.inferred, width)
    yield from _said("lost", source.lost, width)
    if source.origin.sha256 is not None:
        yield wrapped(f"sha256: {source.origin.sha256}", width)


def _said(label: str, lines: Sequence[str], width: int) -> Iterator[str]:
    for line in lines[:_ROWS]:
        yield wrapped(f"{label}: {line}", width, " ", "   ")
    if len(lines) > _ROWS:
        yield wrapped(f"{label}: {len(lines) - _ROWS:,} more (--json)", width, " ", "   ")
