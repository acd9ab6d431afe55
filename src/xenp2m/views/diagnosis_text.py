"""A diagnosis as text: what is wrong first, then what agrees, where the memory is, what was assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenp2m.findings import Severity
from xenp2m.views.text import Paint, plain, plural, rows, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xenp2m.diagnosis.result import Check, Diagnosis, Explained, Row
    from xenp2m.findings import Finding

__all__ = ["diagnosis_lines"]


def diagnosis_lines(
    diagnosis: Diagnosis, where: str, *, width: int = 80, verbose: bool = False, paint: Paint = plain
) -> Iterator[str]:
    """Lines of text about one diagnosis.

    Args:
        diagnosis: what to show.
        where: the files it was made of.
        width: columns of the terminal.
        verbose: every comparison in a line, and notes with what to do.
        paint: puts styles on text.
    """
    yield paint(wrapped(f"{diagnosis.title}   from {where}", width, "", "  "), "head")
    if diagnosis.others:
        yield paint(
            wrapped(f"other boots: {'; '.join(diagnosis.others[:6])} (--boot N)", width, " ", "   "), "dim"
        )
    yield ""
    for finding in diagnosis.findings:
        if finding.severity is not Severity.NOTE:
            yield from _finding(finding, diagnosis.known, width, paint, fix=True)
            yield ""
    yield from _faults(diagnosis, width, paint)
    yield from _checks(diagnosis, width, verbose, paint)
    yield from _rows(diagnosis, width, paint)
    notes = [f for f in diagnosis.findings if f.severity is Severity.NOTE]
    for finding in notes:
        yield from _finding(finding, diagnosis.known, width, paint, fix=verbose)
    yield from _rest(diagnosis, width, paint)


def _finding(
    finding: Finding, known: Mapping[str, str], width: int, paint: Paint, *, fix: bool
) -> Iterator[str]:
    how = known[finding.code]
    label = f"{finding.severity} {finding.code}{'' if how == 'printed' else f', {how}'}:"
    text = wrapped(f"{label} {finding.what}", width, " ", "   ")
    yield text.replace(label, paint(label, str(finding.severity)), 1)
    if fix:
        why = (finding.why or finding.story.title).rstrip(".")
        yield wrapped(f"{why}.", width, "   ", "   ")
        fixed = f" Fixed: {finding.story.fixed}." if finding.story.fixed not in ("", "not fixed") else ""
        yield wrapped(f"What to do: {finding.story.fix}{fixed}", width, "   ", "   ")


def _place(where: str, diagnosis: Diagnosis) -> str:
    """File and line for people: the line alone where there is one file, else the file's own name."""
    name, _, line = where.rpartition(":")
    if not name or not line.isdecimal():
        return where.rpartition("/")[2]
    return f"{name.rpartition('/')[2]}:{line}" if diagnosis.log.names else f"line {line}"


def _shown_faults(diagnosis: Diagnosis) -> list[Explained]:
    """The first few, without those that only say once more what the one before them said."""
    shown: list[Explained] = []
    for each in diagnosis.faults:
        last = shown[-1] if shown else None
        again = last is not None and each.code == last.code and each.fault.number - last.fault.number < 100
        if not again or each.fault.kind == "oops":
            shown.append(each)
    return shown[:4]


def _faults(diagnosis: Diagnosis, width: int, paint: Paint) -> Iterator[str]:
    shown = _shown_faults(diagnosis)
    for each in shown:
        yield from _fault(each, diagnosis, width, paint)
    hidden = len(diagnosis.log.printed.faults) - len(shown)
    if hidden > 0:
        yield f" and {plural(hidden, 'more fault')} in the log (--json)"
    if diagnosis.faults:
        yield ""


def _fault(each: Explained, diagnosis: Diagnosis, width: int, paint: Paint) -> Iterator[str]:
    fault = each.fault
    text = "; ".join([*([fault.said] if fault.said else []), fault.text])
    yield paint(wrapped(f"{_place(each.where, diagnosis)}: {text}", width, " ", "   "), "head")
    called = f", called by {', '.join(fault.calls[:3])}" if fault.calls else ""
    facts = []
    if fault.function:
        facts.append(("in", f"{fault.function}{called}"))
    if each.asserts:
        seen = " (seen at this very line in a boot of our own)" if each.verified else ""
        facts.append(("means", f"{each.asserts}{seen}"))
    for number in each.numbers:
        how = ", inferred" if number.inferred else ""
        facts.append((number.name, f"{number.said} = {number.value:#x}{how}: {number.means}"))
    if each.code:
        how = "as predicted from this host" if each.sure else "inferred"
        facts.append(("cause", f"{each.code}, {how}"))
    if facts:
        yield from (f"  {line}" for line in rows(facts, frozenset(), width - 2))


def _checks(diagnosis: Diagnosis, width: int, verbose: bool, paint: Paint) -> Iterator[str]:
    checks = diagnosis.checks
    if not checks:
        return
    good = [check for check in checks if check.agrees]
    verb = "agree" if len(checks) > 1 else "agrees"
    yield paint(f" {len(good)} of {plural(len(checks), 'comparison')} {verb}", "head")
    if verbose:
        table = [("", "what", "printed", "expected", "where")]
        table += [
            ("ok" if c.agrees else "NO", c.name, c.printed, c.expected, _place(c.where, diagnosis))
            for c in checks
        ]
        yield from rows(table, frozenset(), width)
    else:
        text = ", ".join(f"{check.name} {check.printed}" for check in good)
        if text:
            yield wrapped(text, width, "   ", "   ")
        for check in diagnosis.disagreements:
            yield from _difference(check, diagnosis, width, paint)
    yield ""


def _difference(check: Check, diagnosis: Diagnosis, width: int, paint: Paint) -> Iterator[str]:
    word = "predicted" if check.source == "prediction" else "elsewhere in the log"
    where = _place(check.where, diagnosis)
    text = f"differs: {check.name}: {check.printed} printed ({where}), {check.expected} {word}"
    yield paint(wrapped(text, width, "   ", "     "), "warning")
    if check.why:
        yield wrapped(f"explained, as inferred, by: {check.why}", width, "     ", "     ")


def _rows(diagnosis: Diagnosis, width: int, paint: Paint) -> Iterator[str]:
    if not diagnosis.rows:
        return
    table = [("", "memory", "KiB", "how it is known")]
    table += [_row(row, diagnosis) for row in diagnosis.rows]
    lines = iter(rows(table, frozenset({2}), width))
    yield paint(next(lines), "dim")
    yield from lines
    yield ""


def _row(row: Row, diagnosis: Diagnosis) -> tuple[str, str, str, str]:
    sign = "" if row.total or row.kib < 0 else "+"
    how = f"{row.how}: {row.where}" if row.where else row.how
    if row.how == "printed":
        how = _place(row.where, diagnosis)
    return ("=" if row.total else "", row.name, f"{sign}{row.kib:,}", how)


def _rest(diagnosis: Diagnosis, width: int, paint: Paint) -> Iterator[str]:
    if not diagnosis.findings:
        yield " findings: none"
    for line in diagnosis.missing:
        label = "" if line.startswith("not ") else "missing: "
        yield paint(wrapped(f"{label}{line}", width, " ", "   "), "warning")
    if diagnosis.plan is not None:
        yield wrapped(f"assumed: {'; '.join(diagnosis.assumed) or 'nothing'}", width, " ", "   ")
    if diagnosis.findings:
        yield paint(wrapped("xenp2m explain CODE tells the story of a finding", width), "dim")
