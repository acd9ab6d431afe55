"""Maps that were read as JSON objects: the source, its guest, the runs, the kinds, the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.views.answer import SCHEMA, finding_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.findings import Finding
    from xenp2m.maps.account import Account, Contiguity, LeafPages
    from xenp2m.sources.source import Guest, Origin, Source

__all__ = ["check_object", "guest_object", "map_object", "origin_object"]


def map_object(source: Source, account: Account, findings: Sequence[Finding]) -> dict[str, Any]:
    """One map as an object; its runs under ``p2m`` are an iterator, as there may be millions."""
    return {
        "schema": SCHEMA,
        "source": origin_object(source.origin),
        "guest": guest_object(source.guest),
        "entries": account.entries,
        "p2m": (run.listed() for run in source.p2m.runs()),
        "beyond": source.p2m.beyond.value,
        "kinds": {kind.value: pages for kind, pages in account.kinds.items()},
        "contiguity": _contiguity(account.contiguity),
        "leaves": None
        if account.leaves is None or source.leaves is None
        else _leaves(source, account.leaves),
        "m2p": None if account.m2p is None else list(account.m2p),
        "inferred": list(source.inferred),
        "lost": list(source.lost),
        "findings": [finding_object(finding) for finding in findings],
    }


def check_object(source: Source, rules: Sequence[str], findings: Sequence[Finding]) -> dict[str, Any]:
    """What was noticed about one map as an object."""
    return {
        "schema": SCHEMA,
        "source": origin_object(source.origin),
        "guest": guest_object(source.guest),
        "entries": len(source.p2m),
        "rules": list(rules),
        "lost": list(source.lost),
        "findings": [finding_object(finding) for finding in findings],
    }


def origin_object(origin: Origin) -> dict[str, Any]:
    """Where a map came from."""
    return {"name": origin.name, "format": origin.format, "size": origin.size, "sha256": origin.sha256}


def guest_object(guest: Guest) -> dict[str, Any]:
    """Whose it is; numbers that the input does not tell are null."""
    return {
        "bits": guest.geometry.bits,
        "translated": guest.translated,
        "xen": guest.xen,
        "vcpus": guest.vcpus,
        "max_pfn": guest.max_pfn,
        "form": guest.form or None,
        "p2m_cr3": guest.p2m_cr3,
        "p2m_vaddr": guest.p2m_vaddr,
        "frame_list_list": guest.frame_list_list,
        "generation": guest.generation,
    }


def _contiguity(found: Contiguity) -> dict[str, Any]:
    longest = found.longest
    return {
        "runs": found.runs,
        "descending": found.descending,
        "longest": None if longest is None else longest.listed(),
        "lengths": [[1 << row.order, row.runs, row.pages] for row in found.lengths],
        "pages_2m": found.pages_2m,
        "pages_1g": found.pages_1g,
    }


def _leaves(source: Source, pages: LeafPages) -> dict[str, Any]:
    leaves = source.leaves
    assert leaves is not None
    return {
        "space": leaves.space,
        "entries": pages.entries,
        "absent": pages.absent,
        "distinct": pages.distinct,
        "identity": None if leaves.identity is None else [leaves.identity, pages.identity],
        "missing": None if leaves.missing is None else [leaves.missing, pages.missing],
        "shared": [list(pair) for pair in pages.shared],
        "why": leaves.why,
    }
