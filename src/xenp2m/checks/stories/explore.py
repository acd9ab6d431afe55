"""What only exploration meets: single operations that break a map, with no host around them."""

from __future__ import annotations

from xenp2m.checks.stories.story import story
from xenp2m.findings import Severity

__all__ = ["EXPLORE"]

_P2M = "arch/x86/xen/p2m.c"

EXPLORE = (
    story(
        "over-reach-mid",
        Severity.WARNING,
        "One identity frame turns everything behind a mid page into identity",
        """A frame is to become identity where the top entry still points to the shared missing mid page.
        The whole top entry is pointed at the shared identity mid page: 1 GiB of frames changes at once (4
        GiB on 32 bits), wanted or not. This is what the thread of January 2011 asks about. The ranges of
        a boot have been safe since the series landed, because pages are made for their ends first; a
        single set of an identity word is not, in 3.16 to 3.18.""",
        "Nothing to do in normal use: no released kernel sets single frames to identity in such a GiB.",
        f"__set_phys_to_machine, {_P2M}: the series of 30 December 2010; 3.16 (3cb83e46d032) to 3.18",
        trigger="explored, not tested on a host",
        fixed="3.19, with the linear list; for ranges f4cec35b0d4b, before 2.6.39",
        about="kernel",
    ),
    story(
        "over-reach-leaf",
        Severity.WARNING,
        "One identity frame turns everything behind a leaf page into identity",
        """A frame is to become identity where its mid page points to the shared missing leaf page. The
        entry is pointed at the shared identity leaf page: 2 MiB of frames change at once (4 MiB on 32
        bits), wanted or not. Ranges of a boot are safe since the series landed, because their ends get
        leaf pages first; a single set of an identity word is not, up to 3.18.""",
        "Nothing to do in normal use: no released kernel sets single frames to identity in such a stretch.",
        f"__set_phys_to_machine, {_P2M}: the series of 30 December 2010; 2.6.39 to 3.18",
        trigger="explored, not tested on a host",
        fixed="3.19, with the linear list; for ranges f4cec35b0d4b, before 2.6.39",
        about="kernel",
    ),
    story(
        "missing-leaf-scribbled",
        Severity.WARNING,
        "A frame is stored into the shared missing page",
        """The store finds the shared missing leaf page and is not refused. Every missing frame with the same
        place in its leaf page reads as that machine frame from then on. No kernel does this: it is what
        the guard in the store is for, and what happens to rules without it.""",
        "Put the guard back.",
        f"__set_phys_to_machine, {_P2M}, with its test for p2m_missing taken away",
        trigger="explored with changed rules",
        about="kernel",
    ),
    story(
        "map-differs",
        Severity.WARNING,
        "The map is not what was asked for",
        """After an operation some frame reads as something else than the operation asked for, or than it
        read before, in a way that has no name of its own. No kernel's rules do this; changed rules can.""",
        "Look at the tree before and after the operation.",
        f"the operations of {_P2M}",
        trigger="explored with changed rules",
        about="kernel",
    ),
    story(
        "early-set-refused",
        Severity.WARNING,
        "An early set does not find a place",
        """A machine frame is to be entered before the page allocator is up, at a frame that is missing, and
        the set answers that it could not. The page that was to appear there is lost to the guest.""",
        "Look at which page the entry points to.",
        f"early_set_phys_to_machine, {_P2M}, 3.5 to 3.18",
        trigger="explored with changed rules",
        about="kernel",
    ),
    story(
        "empty-range-allocates",
        Severity.NOTE,
        "A range without a frame takes pages",
        """Identity over a range that ends where it starts changes nothing in the map. Where that frame lies
        inside a page the kernel still makes a leaf page for the edge, and a mid page where there is none.
        It costs early pages, nothing else.""",
        "Nothing to do.",
        f"set_phys_range_identity, {_P2M}, 2.6.39 to 3.18",
        trigger="an identity range without a frame, up to 3.18",
        fixed="3.19, with the linear list",
        about="kernel",
    ),
)
