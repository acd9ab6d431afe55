"""Explanations as text and as JSON: one frame of a plan, or the story of a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.e820 import type_name
from xenp2m.frames import PAGE_SHIFT, Kind
from xenp2m.views.answer import SCHEMA
from xenp2m.views.text import Paint, plain, rows, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xenp2m.e820 import Entry
    from xenp2m.findings import Story
    from xenp2m.place import Place

__all__ = ["catalogue_lines", "place_lines", "place_object", "story_lines", "story_object"]

_MEANING = {
    Kind.MFN: "a machine frame of its own",
    Kind.IDENTITY: "the machine frame of the same number",
    Kind.MISSING: "no machine frame",
    Kind.FOREIGN: "a frame of another domain",
    Kind.OTHER: "the identity bit with another number",
    Kind.UNKNOWN: "not known",
}


def place_lines(place: Place, width: int, paint: Paint = plain) -> Iterator[str]:
    """Lines about one frame."""
    address = place.pfn << PAGE_SHIFT
    title = f"PFN {place.pfn:#x}   address {address:#x}-{address + 0xFFF:#x}"
    yield paint(wrapped(title, width, "", "  "), "head")
    facts = [("entry", f"{place.kind.value}, {_MEANING[place.kind]}")]
    if place.mfn is not None:
        facts.append(("mfn", f"{place.mfn:#x}"))
    facts.append(("why", f"{place.why} (frames {place.start:#x} - {place.end:#x})"))
    if place.moved_from is not None:
        facts.append(("came from", f"PFN {place.moved_from:#x}, which is identity now"))
    if place.moved_to is not None:
        facts.append(("went to", f"PFN {place.moved_to:#x}: the frame that was here at first"))
    facts.append(("host map", _entries(place.host)))
    facts.append(("guest map", _entries(place.guest)))
    yield from rows(facts, frozenset(), width)


def place_object(place: Place) -> dict[str, Any]:
    """One frame as a JSON object."""
    return {
        "schema": SCHEMA,
        "pfn": place.pfn,
        "kind": place.kind.value,
        "mfn": place.mfn,
        "why": place.why,
        "stretch": [place.start, place.end],
        "moved_from": place.moved_from,
        "moved_to": place.moved_to,
        "host": [list(entry) for entry in place.host],
        "guest": [list(entry) for entry in place.guest],
    }


def _entries(entries: Iterable[Entry]) -> str:
    text = "; ".join(f"{type_name(e.type)} {e.start:#x}-{e.end - 1:#x}" for e in entries)
    return text or "nothing: a gap"


def story_lines(story: Story, width: int, paint: Paint = plain) -> Iterator[str]:
    """Lines about one code."""
    yield paint(wrapped(f"{story.code} ({story.severity}): {story.title}", width, "", "  "), "head")
    yield ""
    yield wrapped(story.story, width)
    yield ""
    facts = [("when", story.trigger), ("what to do", story.fix), ("mended", story.fixed)]
    facts = [(name, text) for name, text in facts if text]
    yield from rows([*facts, ("source", story.source)], frozenset(), width)


def story_object(story: Story) -> dict[str, Any]:
    """One code as a JSON object."""
    return {
        "schema": SCHEMA,
        "code": story.code,
        "severity": str(story.severity),
        "title": story.title,
        "story": story.story,
        "fix": story.fix,
        "trigger": story.trigger,
        "fixed": story.fixed,
        "about": story.about,
        "source": story.source,
    }


def catalogue_lines(stories: Iterable[Story], width: int) -> Iterator[str]:
    """One line a code."""
    yield from rows([(s.code, str(s.severity), s.title) for s in stories], frozenset(), width)
