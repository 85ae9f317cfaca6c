"""Check that ``audit.json`` follows from its findings and the manifest, as far as no pixels are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cxrbuild.artifact import AuditDocument, CheckResult, names
from cxrbuild.checks import Finding, NotApplicable, own_checks, status_of
from cxrbuild.patients import Namespaces, find_shared_ids, is_one_patient
from cxrbuild.verification.context import Context

if TYPE_CHECKING:
    import pandas as pd

# The column in which the images of a pair differ if it crosses this.
_CROSSED = {"split": "split", "label": "label", "source": "source", "patient": "patient_id"}


def check_audit_result(context: Context) -> Iterator[Finding]:
    """Find statuses, values, counts and pairs that do not follow from the findings and the manifest."""
    audit = context.results.audit
    if audit is None:
        raise NotApplicable("the build was not audited")
    if context.packaged_here:
        # A description would replace what `verify` knows of the check, such as which pairs it counts. A check
        # of another package may have had the id before cxrbuild had a check of that name.
        for check in audit.checks:
            if check.description is not None and check.id in own_checks("audit"):
                message = "has a description, which is recorded of checks of other packages only"
                yield Finding(message, names.AUDIT, f"checks.{check.id}")
    for key, message in _problems(audit, context.rows, context.document.namespaces):
        yield Finding(message, names.AUDIT, key)


def _problems(audit: AuditDocument, rows: pd.DataFrame, namespaces: Namespaces) -> Iterator[tuple[str, str]]:
    if audit.images != len(rows):
        yield "images", f"is {audit.images:,}, the manifest has {len(rows):,}"
    damaged = {
        finding["image_id"]
        for check in audit.checks
        for finding in check.model_dump(mode="json")["findings"]
        if "image_id" in finding
    }
    # The audit did not see what was missing or changed when it was made.
    rows = rows[~rows.index.isin(damaged)]
    failed = any(check.status == "failed" for check in audit.checks)
    if audit.status != ("failed" if failed else "passed"):
        yield "status", f"is {audit.status}, by the checks it is {'failed' if failed else 'passed'}"
    for check in audit.checks:
        for message in _check_problems(check, audit, rows, namespaces):
            yield f"checks.{check.id}", message
    for pair in audit.pairs:
        for message in _pair_problems(pair.a, pair.b, pair.crosses, rows, linked=pair.linked):
            yield f"pairs.{pair.a} {pair.b}", message


def _check_problems(
    check: CheckResult, audit: AuditDocument, rows: pd.DataFrame, namespaces: Namespaces
) -> Iterator[str]:
    status = status_of(check.value, check.limit)
    if check.status != status:
        yield f"status is {check.status}, by value and limit it is {status}"
    findings = check.model_dump(mode="json")["findings"]
    counted = {"a", "image_id", "image_ids"}
    # The value of another package's check need not be the number of its findings: it may have none.
    if check.is_own and check.value and not findings:
        yield f"value is {check.value:g}, but there are no findings"
    elif (
        check.is_own
        and findings
        and all(counted & set(finding) for finding in findings)
        and check.value != len(findings)
    ):
        yield f"value is {check.value}, but there are {len(findings):,} findings"
    if pairs := check.about.counted_pairs:
        expected = {f"{pair.a} {pair.b}" for pair in audit.pairs if pair.is_counted(pairs)}
        found = {f"{finding.get('a')} {finding.get('b')}" for finding in findings}
        # The check of another package may not apply, or may have raised an error, which is its finding.
        made = check.value is not None and all(finding["type"] == "pair" for finding in findings)
        if check.is_own or made:
            yield from _set_problems(found, expected, "pair")
    # What the manifest alone decides is derived again, without the code of the audit.
    match check.id:
        case "patient_leakage":
            splits = rows.groupby("group")["split"].nunique()
            yield from _set_problems(
                {str(finding.get("group")) for finding in findings}, set(splits[splits > 1].index), "group"
            )
        case "shared_patient_ids":
            shared = find_shared_ids(rows, namespaces)
            expected = {one.patient_id for one in shared if len(one.splits) > 1}
            found = {str(finding.get("patient_id")) for finding in findings}
            yield from _set_problems(found, expected, "patient id")
        case "unknown_patients":
            unknown = int(rows["patient_id"].isna().sum())
            if check.value != unknown:
                yield f"value is {check.value}, the manifest has {unknown:,} images without a patient"


def _set_problems(found: set[str], expected: set[str], what: str) -> Iterator[str]:
    for name in sorted(expected - found):
        yield f"the {what} {name} is missing"
    for name in sorted(found - expected):
        yield f"the {what} {name} does not follow from the data"


def _pair_problems(
    a: str, b: str, crosses: Sequence[str], rows: pd.DataFrame, *, linked: bool
) -> Iterator[str]:
    if not {a, b} <= set(rows.index):
        yield "an image is not in the manifest"
        return
    first, second = rows.loc[a], rows.loc[b]
    for name, column in _CROSSED.items():
        differs = bool(first[column] != second[column])
        if name == "patient":
            differs = not is_one_patient(first.to_dict(), second.to_dict())
        if differs != (name in crosses):
            yield f"the images {'differ' if differs else 'do not differ'} in {name}"
    if linked != bool(first["group"] == second["group"]):
        yield f"linked is {str(linked).lower()}, which their groups contradict"
