"""A diagnosis as a JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenp2m.views.answer import SCHEMA, answer, finding_object

if TYPE_CHECKING:
    from xenp2m.diagnosis.result import Diagnosis, Explained

__all__ = ["diagnosis_object"]


def diagnosis_object(diagnosis: Diagnosis, where: str) -> dict[str, Any]:
    """One diagnosis; ``plan`` is the answer of ``xenp2m plan``, or null."""
    plan = diagnosis.plan
    return {
        "schema": SCHEMA,
        "id": where,
        "title": diagnosis.title,
        "other_boots": list(diagnosis.others),
        "missing": list(diagnosis.missing),
        "assumed": list(diagnosis.assumed),
        "findings": [
            {**finding_object(finding), "known": diagnosis.known[finding.code]}
            for finding in diagnosis.findings
        ],
        "faults": [_fault(each) for each in diagnosis.faults],
        "checks": [check._asdict() for check in diagnosis.checks],
        "memory": [row._asdict() for row in diagnosis.rows],
        "plan": answer(plan, where) if plan is not None else None,
    }


def _fault(each: Explained) -> dict[str, Any]:
    fault = each.fault
    return {
        "kind": fault.kind,
        "text": fault.text,
        "said": fault.said,
        "where": each.where,
        "file": fault.file,
        "line": fault.line,
        "function": fault.function,
        "calls": list(fault.calls),
        "asserts": each.asserts,
        "verified": each.verified,
        "code": each.code,
        "sure": each.sure,
        "numbers": [number._asdict() for number in each.numbers],
    }
