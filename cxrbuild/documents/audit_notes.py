"""Describe what an audit found, except biases, in sentences for the reader of a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cxrbuild.artifact import AuditDocument, CheckResult, ExplanationDocument, ImagePair, ReleaseDocument
from cxrbuild.artifact.audit import UNDESCRIBED
from cxrbuild.artifact.audit_finding import (
    AssociationFinding,
    PairFinding,
    ProbeFinding,
    SimilarIdsFinding,
    UnknownPatientsFinding,
)
from cxrbuild.contents import Contents
from cxrbuild.errors import count_of, noun_of

if TYPE_CHECKING:
    import pandas as pd

# The pairs that a sentence lists.
_LISTED = 5
_NOT_AUDITED = (
    "This build was not audited: duplicates, label conflicts, leakage between splits and confounding are "
    "unknown."
)


def measured_contents(
    document: ReleaseDocument,
    records: pd.DataFrame,
    audit: AuditDocument | None,
    explanation: ExplanationDocument | None,
) -> Contents:
    """Return what a release holds, with what its audit found, or that there was none, and its explanation.

    Parameters
    ----------
    document
        Its ``build.json``.
    records
        Its ledger.
    audit
        Its ``audit.json``, ``None`` where it has none.
    explanation
        Its ``explanation.json``, ``None`` where it has none.
    """
    sentences = [] if explanation is None else [explanation.sentence]
    if audit is None:
        return Contents(document, records, measured_biases=sentences, audit_notes=[_NOT_AUDITED])
    labels = dict(zip(records["image_id"], records["label"], strict=True))
    return Contents(
        document,
        records,
        measured_biases=[*audit.biases, *sentences],
        audit_notes=describe_audit_notes(audit, labels),
    )


def describe_audit_notes(audit: AuditDocument, labels: Mapping[str, str]) -> list[str]:
    """Return a sentence for each check of an audit that failed, or found something other than a bias.

    Parameters
    ----------
    audit
        The audit result.
    labels
        The class of each image.
    """
    notes = [
        _describe(check, labels)
        for check in audit.checks
        if check.status == "failed" or (check.value and not _is_bias(check))
    ]
    similar = [
        pair
        for pair in audit.pairs
        if not pair.is_duplicate and not pair.linked and "patient" in pair.crosses
    ]
    if similar:
        in_two_splits = sum("split" in pair.crosses for pair in similar)
        notes.append(
            f"The audit found {count_of(len(similar), 'similar pair')} of images of two patients, who may be "
            f"one person; this is not confirmed: {_list_pairs(similar)}. "
            f"{_describe_leakage(in_two_splits, len(similar))}"
        )
    search = audit.duplicate_search
    if search.skipped_pairs:
        notes.append(
            f"The audit compared only the best candidates of {count_of(search.limited_images, 'image')} with "
            f"more than {search.most_per_image} similar ones: it did not compare "
            f"{count_of(search.skipped_pairs, 'pair')} of possible duplicates."
        )
    skipped: dict[str, list[str]] = {}
    for check in audit.checks:
        if check.status == "not applicable":
            skipped.setdefault(check.message, []).append(check.id)
    notes += [f"The audit did not make {_list_checks(ids)}: {reason}." for reason, ids in skipped.items()]
    return notes


def _is_bias(check: CheckResult) -> bool:
    """Return whether the findings of a check are biases, which others describe."""
    return any(isinstance(finding, AssociationFinding | ProbeFinding) for finding in check.findings)


def _describe(check: CheckResult, labels: Mapping[str, str]) -> str:
    note = f"The check {check.id} found this: {check.message}. Expected: {check.sentence}"
    if pairs := [finding for finding in check.findings if isinstance(finding, PairFinding)]:
        note = _describe_pairs(check, pairs, labels) or note
    elif similar_ids := [finding for finding in check.findings if isinstance(finding, SimilarIdsFinding)]:
        note = _describe_similar_ids(similar_ids)
    elif any(isinstance(finding, UnknownPatientsFinding) for finding in check.findings):
        note = f"The audit found {check.message}: each counts as a patient."
    if check.status == "failed":
        note += f" This exceeds {_name_limit(check)} of {check.limit:g}: the check {check.id} failed."
    return note


def _describe_pairs(
    check: CheckResult, pairs: Sequence[PairFinding], labels: Mapping[str, str]
) -> str | None:
    number = len(pairs)
    match check.about.counted_pairs:
        case "label":
            return (
                f"The audit found {count_of(number, 'duplicate')} with two labels: "
                f"{_list_pairs(pairs, labels)}."
            )
        case "unlinked":
            return (
                f"The audit found {count_of(number, 'duplicate')} of patients who are not linked: "
                f"{_list_pairs(pairs)}."
            )
        case "all":
            of_patients = sum("patient" in pair.crosses for pair in pairs)
            return (
                f"The audit found {count_of(number, 'pair')} of duplicates, {of_patients:,} of them of two "
                "patients."
            )
    return None


def _name_limit(check: CheckResult) -> str:
    """Return whose limit a check has; a build does not record which limits its recipe set."""
    if check.about is UNDESCRIBED:
        return "the limit"
    return "the default limit" if check.limit == check.about.default_limit else "the recipe's limit"


def _list_checks(ids: Sequence[str]) -> str:
    return f"the {noun_of(len(ids), 'check')} {' and '.join(ids)}"


def _describe_similar_ids(findings: Sequence[SimilarIdsFinding]) -> str:
    in_several_splits = sum(len(finding.splits) > 1 for finding in findings)
    by_source = ", ".join(
        f"{sum(finding.source == source for finding in findings):,} of {source}"
        for source in sorted({finding.source for finding in findings})
    )
    example = " and ".join(findings[0].patient_ids[:2])
    return (
        f"The audit found {count_of(len(findings), 'patient number')} with several endings ({by_source}), "
        f"such as {example}. "
        f"Upstream does not state whether they are one person. "
        f"{_describe_leakage(in_several_splits, len(findings))}"
    )


def _list_pairs(
    pairs: Sequence[ImagePair] | Sequence[PairFinding], labels: Mapping[str, str] | None = None
) -> str:
    def name(image_id: str) -> str:
        return image_id if labels is None else f"{image_id} ({labels.get(image_id)})"

    listed = "; ".join(f"{name(pair.a)} and {name(pair.b)}" for pair in pairs[:_LISTED])
    more = f"; and {len(pairs) - _LISTED:,} more in `audit.json`" if len(pairs) > _LISTED else ""
    return listed + more


def _describe_leakage(in_several_splits: int, count: int) -> str:
    if not in_several_splits:
        return "None of these is in several splits."
    return (
        f"{in_several_splits:,} of the {count:,} are in several splits: if they are one person, there is "
        "leakage."
    )
