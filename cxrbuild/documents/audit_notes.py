"""What an audit found beside biases, in sentences for the reader of a release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import AuditDocument, CheckResult, ReleaseDocument
from cxrbuild.contents import Contents
from cxrbuild.errors import count_of

if TYPE_CHECKING:
    import pandas as pd

# A reader can look these up; more of them are counted.
_MOST = 5
# Told as biases, by what was measured.
_BIASES = ("confounding", "probe_")
_NOT_AUDITED = (
    "This build was not audited: nobody looked for films that stand in it twice, under two classes or in two "
    "parts, nor for what beside the lungs tells the class."
)


def audited_contents(
    document: ReleaseDocument, records: pd.DataFrame, audit: AuditDocument | None
) -> Contents:
    """Return what a release holds, with what its audit found, or that there was none.

    Parameters
    ----------
    document
        Its ``build.json``.
    records
        Its ledger.
    audit
        The content of its ``audit.json``, ``None`` where it has none.
    """
    if audit is None:
        return Contents(document, records, audit_notes=[_NOT_AUDITED])
    labels = dict(zip(records["image_id"], records["label"], strict=True))
    return Contents(
        document, records, measured_biases=audit.biases, audit_notes=describe_audit_notes(audit, labels)
    )


def describe_audit_notes(audit: AuditDocument, labels: Mapping[str, str]) -> list[str]:
    """Return what each check of an audit found, in plain words; nothing where all was in order.

    Parameters
    ----------
    audit
        The content of ``audit.json``.
    labels
        The class of each image.
    """
    doubts = [
        _say(check, labels)
        for check in audit.checks
        if not check.id.startswith(_BIASES) and (check.value or check.status == "failed")
    ]
    alike = [pair for pair in audit.pairs if pair.kind == "alike" and "patient" in pair.crosses]
    if unlinked := [pair for pair in alike if not pair.linked]:
        across = sum("split" in pair.crosses for pair in unlinked)
        named = _named([pair.model_dump() for pair in unlinked])
        doubts.append(
            f"Audited: {count_of(len(unlinked), 'pair')} of images of two patients are so similar that they "
            f"may be of one person, which nobody has confirmed: {named}. {_across(across, len(unlinked))}"
        )
    skipped = [check.id for check in audit.checks if check.status == "not applicable"]
    if skipped:
        doubts.append(f"Not measured, since this dataset is too small for it: {', '.join(skipped)}.")
    return doubts


def _say(check: CheckResult, labels: Mapping[str, str]) -> str:
    """Return what one check found; a check that has no words here is told by its own."""
    named, words = check.findings, check.message
    match check.id:
        case "label_conflicts":
            told = f"{count_of(len(named), 'film')} under two classes: {_named(named, labels)}."
        case "duplicates":
            told = (
                f"{count_of(len(named), 'pair')} of files that show the same film, whole or changed: "
                f"it counts twice; {sum('patient' in pair['crosses'] for pair in named)} under two patients."
            )
        case "unlinked":
            told = f"{count_of(len(named), 'film')} of two patients who are not linked: {_named(named)}."
        case "identity":
            across = sum(len(entry["parts"]) > 1 for entry in named)
            sources = ", ".join(
                f"{source} {sum(entry['source'] == source for entry in named):,}"
                for source in sorted({entry["source"] for entry in named})
            )
            told = (
                f"{count_of(len(named), 'patient number')} ({sources}) with more than one ending, such as "
                f"{' and '.join(named[0]['patients'][:2])}: upstream does not say if these are one person "
                f"or two. {_across(across, len(named))}"
            )
        case "unknown_patients":
            told = f"{words}: each counts as a patient of its own."
        case _:
            told = f"{words}. What should hold: {check.sentence}"
    if check.status == "failed":
        told += f" This is over the limit of {check.limit:g} that the recipe sets."
    return f"Audited: {told}"


def _named(pairs: list[dict[str, Any]], labels: Mapping[str, str] | None = None) -> str:
    def name(image: str) -> str:
        return image if labels is None else f"{image} ({labels.get(image)})"

    shown = "; ".join(f"{name(pair['a'])} and {name(pair['b'])}" for pair in pairs[:_MOST])
    more = f"; and {len(pairs) - _MOST:,} more in `audit.json`" if len(pairs) > _MOST else ""
    return shown + more


def _across(across: int, of: int) -> str:
    if not across:
        return "None of these stands in two parts."
    return f"{across:,} of the {of:,} stand in two parts: if it is one person, test has seen some of train."
