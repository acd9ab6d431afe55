"""Operations on one era's P2M, replayed: rows of JSON in, answers out.

A row is ``{"kernel": "3.12", "bits": 64, "in": {"nr_pages": ..., "mfn_base": ..., "mfn_desc": ...,
"ops": [["ri", s, e], ...]}}``; its answer has the fields of the tree vectors. Instead of ``kernel``
a row can name ``rules`` (see `xenp2m.model.rules`), beside ``bits`` it can give ``entries`` a page,
and ``in`` can hold the builder's ``mfn_list`` itself, or its order: ``mfns`` ascending, descending or
scrambled (with a ``seed``).

======== ========================================================== ==================
``ri``   mark PFNs ``[s, e)`` as identity (before ``rt``)           count of frames
``es``   set ``pfn`` to ``word``, with ``extend_brk`` (before it)   1 or 0
``rt``   the page allocator is up                                   0
``__s``  set ``pfn`` to ``word`` without making pages               1 or 0
``s``    set ``pfn`` to ``word``                                    1 or 0
``g``    read ``pfn``                                               the word
``bu``   balloon up: Xen's page ``mfn`` at ``pfn`` (after ``rt``)   1 or 0
``bd``   balloon down: give the page at ``pfn`` back                1 or 0
``fm``   map the foreign page ``mfn`` at ``pfn`` (grant)            1 or 0
``fu``   unmap the foreign page at ``pfn``                          1 or 0
``m2p``  the frame behind ``mfn`` (``mfn_to_pfn``)                  PFN or INVALID
``pte``  the page-table entry made for ``pfn``, present             the entry
``save`` tools read the list up to ``pfn`` (0: all they are told)   entries refused
======== ========================================================== ==================

What ``save`` found is in ``save`` of the answer: entries with a page, races, bogus MFNs, and the list.

A row is checked as a whole before anything of it is done. Where the kernel stops in the middle, the
answer says so: ``bug`` and ``at``, the index of the operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xenp2m.boot.select import ERAS
from xenp2m.errors import InputError, XenP2MError, shorten
from xenp2m.extents import coalesce, subtract
from xenp2m.kernel import NEWEST, OLDEST, Release, Version
from xenp2m.model.balloon import BALLOON_BUG, driver_of
from xenp2m.model.errors import BrkExhaustedError, StoreBeyondEndError
from xenp2m.model.linear import LinearP2M
from xenp2m.model.phys_to_machine import PhysToMachine
from xenp2m.model.pte import marks_io
from xenp2m.model.runtime import Runtime
from xenp2m.model.shape import leaf_letter, runs, shape, word_runs
from xenp2m.model.tree import IDENTITY
from xenp2m.replay_input import RUNTIME_OPERATIONS, Operation, Request, parse_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from xenp2m.extents import Range
    from xenp2m.model.runtime import SaveView

__all__ = [
    "Operation",
    "Outcome",
    "Request",
    "is_verified",
    "parse_row",
    "replay_row",
    "run",
    "runtime_of",
    "start",
    "unasked_identity",
]

STORE_BEYOND_END = "store-beyond-p2m-end"
BRK_EXHAUSTED = "brk-exhausted"
RUNTIME_PAGES = 1 << 15
"""Pages that a replay's allocator gives out at most: 128 MiB. A set that finds none returns 0."""


class Outcome(NamedTuple):
    """What one operation did.

    Attributes:
        op: the operation.
        ret: what it returned; None where the kernel stops in it.
        bug: own-word code of the stop, or None.
        view: what ``save`` found.
    """

    op: Operation
    ret: int | None
    bug: str | None = None
    view: SaveView | None = None


def start(request: Request) -> PhysToMachine | LinearP2M:
    """The P2M as the builder and the first boot code leave it."""
    if request.linear is not None:
        return LinearP2M(request.linear, request.geometry, request.mfn_list, RUNTIME_PAGES)
    assert request.rules is not None
    return PhysToMachine(request.rules, request.geometry, request.mfn_list, RUNTIME_PAGES)


def runtime_of(request: Request, p2m: PhysToMachine | LinearP2M) -> Runtime | None:
    """The machine around the P2M; None where no operation needs it."""
    if not any(op.name in RUNTIME_OPERATIONS for op in request.ops):
        return None
    version = request.version or _first_with(p2m.rules.name)
    marks = marks_io(p2m.rules.name)
    return Runtime(p2m, request.mfn_list, driver_of(version), marks_io=marks)


def _first_with(rules: str) -> Version:
    """A release with these rules: the first one, the newest for today's, the oldest for the thread's."""
    if rules == "linear":
        return NEWEST
    return Version.parse(rules.removeprefix("linear-")) or OLDEST


def run(
    p2m: PhysToMachine | LinearP2M, ops: list[Operation], runtime: Runtime | None = None
) -> Iterator[Outcome]:
    """Execute operations one by one.

    Args:
        p2m: the map, changed in place.
        ops: the operations.
        runtime: `runtime_of` the request.

    Yields:
        The outcome of each; ends early after one with a bug.
    """
    for op in ops:
        try:
            outcome = Outcome(op, _execute(p2m, op)) if runtime is None else _act(runtime, p2m, op)
            yield outcome
            if outcome.bug:
                return
        except StoreBeyondEndError:
            yield Outcome(op, None, STORE_BEYOND_END)
            return
        except BrkExhaustedError:
            yield Outcome(op, None, BRK_EXHAUSTED)
            return


def _execute(p2m: PhysToMachine | LinearP2M, op: Operation) -> int:
    name, first, second = op
    if name == "g":
        return p2m.get(first)
    if name == "s":
        return int(p2m.set(first, second))
    if name == "__s":
        return int(p2m.store(first, second))
    if name == "ri":
        return p2m.set_range_identity(first, second)
    if name == "es" and isinstance(p2m, PhysToMachine):
        return int(p2m.early_set(first, second))
    p2m.end_early()
    return 0


def _act(runtime: Runtime, p2m: PhysToMachine | LinearP2M, op: Operation) -> Outcome:
    """An operation that may need more than the P2M."""
    name, pfn, mfn = op
    if name not in RUNTIME_OPERATIONS:
        return Outcome(op, _execute(p2m, op))
    if name == "bu":
        up = runtime.balloon_up(pfn, mfn)
        return Outcome(op, up.filled) if up.bug_pfn is None else Outcome(op, None, BALLOON_BUG)
    if name == "bd":
        return Outcome(op, int(runtime.balloon_down(pfn)))
    if name == "fm":
        return Outcome(op, int(runtime.map_foreign(pfn, mfn)))
    if name == "fu":
        return Outcome(op, int(runtime.foreign.unmap(pfn)))
    if name == "m2p":
        found = runtime.foreign.mfn_to_pfn(pfn)
        return Outcome(op, p2m.geometry.invalid if found is None else found)
    if name == "pte":
        return Outcome(op, runtime.pte(pfn))
    view = runtime.save(min(pfn, p2m.geometry.max_p2m_pfn))
    return Outcome(op, len(view.races) + len(view.bogus), view=view)


def replay_row(row: object) -> dict[str, Any]:
    """Answer one row.

    Args:
        row: see above.

    Returns:
        ``{"schema": 1, "id": ..., "kernel" or "rules": ..., "bits": ..., "out": {...}}``, or, for a
        row that cannot be used, ``{"schema": 1, "id": ..., "error": text}`` with nothing done.
    """
    head: dict[str, Any] = {"schema": 1}
    if not isinstance(row, dict):
        return head | {"error": str(InputError("row", "an object", shorten(row)))}
    if isinstance(row.get("id"), (str, int)):
        head["id"] = row["id"]
    try:
        request = parse_row(row)
    except XenP2MError as bad:
        return head | {"error": str(bad)}
    head |= {key: row[key] for key in ("kernel", "rules") if key in row}
    p2m = start(request)
    head |= {"bits": request.geometry.bits, "verified": is_verified(row, p2m)}
    outcomes = list(run(p2m, request.ops, runtime_of(request, p2m)))
    return head | {"out": answer(p2m, outcomes)}


def is_verified(row: dict[str, Any], p2m: PhysToMachine | LinearP2M) -> bool:
    """Whether these rules were compared with the code of the very kernel that the row names."""
    version = Version.parse(str(row["kernel"])) if "kernel" in row else None
    return p2m.rules.verified and (version is None or ERAS[Release.of(version).era].verified)


def answer(p2m: PhysToMachine | LinearP2M, outcomes: list[Outcome]) -> dict[str, Any]:
    """Everything that can be said of a P2M after its operations, with the vectors' field names."""
    out: dict[str, Any] = {}
    if outcomes and outcomes[-1].bug:
        out |= {"bug": outcomes[-1].bug, "at": len(outcomes) - 1}
    out["ret"] = [outcome.ret for outcome in outcomes if outcome.bug is None]
    out |= {"brk_pages": p2m.pages.brk, "rt_pages": p2m.pages.runtime, "bootmem_pages": p2m.pages.bootmem}
    if isinstance(p2m, PhysToMachine):
        out["brk_budget_p2m"] = p2m.rules.reservation.total_bytes(p2m.geometry)
        out["p2m_end"] = p2m.geometry.max_p2m_pfn
    else:
        out |= {"p2m_end": p2m.size, "generation": p2m.generation, "shared_max_pfn": p2m.last_pfn}
    out["p2m"] = [r.listed() for r in runs(p2m) if r.start < out["p2m_end"]]
    out["scribbled"] = [
        [page, index, leaf_letter(p2m.tree, index, value) if page.startswith("mid") else value]
        for page, index, value in p2m.tree.scribbled()
    ]
    out["struct"] = shape(p2m.tree)
    out["unasked"] = [list(stretch) for stretch in unasked_identity(p2m, outcomes)]
    out["findings"] = codes(p2m, outcomes)
    saves = [_saved(p2m, at, o.view) for at, o in enumerate(outcomes) if o.view is not None]
    return out | ({"save": saves} if saves else {})


def codes(p2m: PhysToMachine | LinearP2M, outcomes: list[Outcome]) -> list[str]:
    """What went wrong on the way, by the codes of the catalogue; a BUG stands for itself."""
    found = ["brk-exceeded"] if p2m.pages.over_budget else []
    pages = {page for page, _, _ in p2m.tree.scribbled()}
    if "identity" in pages:
        found.append("identity-leaf-store")
    if "missing" in pages:
        found.append("missing-leaf-scribbled")
    if pages & {"mid_missing", "mid_identity"}:
        found.append("missing-mid-scribbled")
    mids = [int(p2m.tree.top[p2m.tree.index(start)[0]]) for start, _ in unasked_identity(p2m, outcomes)]
    if IDENTITY in mids:
        found.append("over-reach-mid")
    return found + (["over-reach-leaf"] if any(mid != IDENTITY for mid in mids) else [])


def unasked_identity(p2m: PhysToMachine | LinearP2M, outcomes: list[Outcome]) -> list[Range]:
    """Frames that read as identity, and no operation asked for it: where a swap reached too far.

    Nothing for the linear list, and for rules whose void entries begin as identity.

    Returns:
        PFN ranges, ascending, behind the shared identity page. O(pages of the tree).
    """
    if not isinstance(p2m, PhysToMachine) or p2m.rules.void_identity:
        return []
    entries = p2m.geometry.entries
    behind = p2m.tree.mids.rows == IDENTITY
    tops = np.flatnonzero(behind.any(axis=1)[p2m.tree.top])
    which, mids = np.nonzero(behind[p2m.tree.top[tops]])
    asked = [(o.op.first, o.op.second) for o in outcomes if o.op.name == "ri"]
    asked += [
        (o.op.first, o.op.first + 1)
        for o in outcomes
        if o.op.name in ("es", "__s", "s") and p2m.is_identity_word(o.op.first, o.op.second)
    ]
    swapped = _ranges(tops[which] * entries + mids)
    return subtract([(start * entries, end * entries) for start, end in swapped], asked)


def _saved(p2m: PhysToMachine | LinearP2M, at: int, view: SaveView) -> dict[str, Any]:
    found = coalesce(word_runs(p2m.geometry, 0, view.words)) if len(view.words) else []
    ranges = {name: _ranges(pfns) for name, pfns in (("races", view.races), ("bogus", view.bogus))}
    return {"at": at, "pages": view.pages, **ranges, "list": [r.listed() for r in found]}


def _ranges(pfns: NDArray[np.int64]) -> list[list[int]]:
    """Ascending PFNs as half-open ranges."""
    cuts = np.flatnonzero(np.diff(pfns) != 1) + 1
    return [[int(part[0]), int(part[-1]) + 1] for part in np.split(pfns, cuts) if len(part)]
