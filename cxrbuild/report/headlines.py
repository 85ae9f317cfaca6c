"""What a reviewer looks for first: leakage, duplicates, confounding, licences, what the model learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cxrbuild.artifact import AuditDocument, BaselineDocument, CheckResult, ExplanationDocument
from cxrbuild.artifact.audit import SimilarIdsFinding, describe_unprobed
from cxrbuild.artifact.baseline_summary import mean_recall
from cxrbuild.contents import Contents
from cxrbuild.documents import list_licenses
from cxrbuild.errors import count_of

Verdict = Literal["passed", "failed", "to judge", "not run"]
_LEAKAGE = ("patient_leakage", "shared_patient_ids", "duplicate_leakage")
_DUPLICATES = ("duplicates", "label_conflicts", "unlinked_duplicates")
_AUDIT = "cxrbuild audit --build DIR"


@dataclass(frozen=True)
class Headline:
    """What is known about one question.

    Attributes
    ----------
    question
        What it is about.
    verdict
        ``passed`` and ``failed`` by a limit, ``to judge`` without one, ``not run`` where nothing is known.
    sentences
        What was found.
    command
        The command that answers the question, empty where it was run.
    section
        The id of the part of the report with the details.
    """

    question: str
    verdict: Verdict
    sentences: Sequence[str]
    section: str
    command: str = ""


def list_headlines(
    contents: Contents,
    audit: AuditDocument | None,
    baseline: BaselineDocument | None,
    explanation: ExplanationDocument | None,
) -> list[Headline]:
    """Return what is known about each question, in the order of the report.

    Parameters
    ----------
    contents
        The content of the release.
    audit, baseline, explanation
        Its results, ``None`` where there is none.
    """
    return [
        _describe_leakage(audit),
        _describe_duplicates(audit),
        _describe_confounding(contents, audit),
        _describe_licenses(contents),
        _describe_model(baseline, explanation),
    ]


def _describe_leakage(audit: AuditDocument | None) -> Headline:
    question = "Leakage between splits"
    if audit is None:
        return Headline(question, "not run", ["The build was not audited."], "audit", _AUDIT)
    checks = _checks(audit, _LEAKAGE)
    sentences = [f"Must hold: {check.sentence} Found: {check.message}." for check in checks if check.value]
    if not sentences:
        sentences.append("No patient, and no duplicate of an image, is in two splits.")
    similar_ids = sum(
        len(finding.splits) > 1
        for check in audit.checks
        for finding in check.findings
        if isinstance(finding, SimilarIdsFinding)
    )
    pairs = sum(
        not pair.is_duplicate and not pair.linked and {"split", "patient"} <= set(pair.crosses)
        for pair in audit.pairs
    )
    possible = [
        *[f"{count_of(similar_ids, 'patient number')} with several endings"] * bool(similar_ids),
        *[f"{count_of(pairs, 'similar pair')} of two patients"] * bool(pairs),
    ]
    if possible:
        sentences.append(
            f"In several splits are {' and '.join(possible)}: there is leakage if they are of one person."
        )
    return Headline(question, _verdict(checks, to_judge=bool(possible)), sentences, "audit")


def _describe_duplicates(audit: AuditDocument | None) -> Headline:
    question = "Duplicates"
    if audit is None:
        return Headline(question, "not run", ["The build was not audited."], "audit", _AUDIT)
    checks = _checks(audit, _DUPLICATES)
    found = [check.message for check in checks if check.value]
    sentences = [f"Found: {'; '.join(found)}."] if found else ["No image has a duplicate."]
    if skipped := audit.duplicate_search.skipped_pairs:
        sentences.append(f"The search was not complete: {count_of(skipped, 'pair')} were not compared.")
    section = "duplicates" if found else "audit"
    return Headline(question, _verdict(checks, to_judge=bool(found)), sentences, section)


def _describe_confounding(contents: Contents, audit: AuditDocument | None) -> Headline:
    question = "Confounding"
    declared = [" ".join(contents.confounded())] if contents.confounded() else []
    if audit is None:
        unknown = ["What else predicts the class is unknown: the build was not audited."]
        return Headline(question, "not run", [*declared, *unknown], "audit", _AUDIT)
    checks = [check for check in audit.checks if check.id == "confounding" or check.id.startswith("probe_")]
    measured = [check for check in checks if check.value is not None]
    if not measured:
        reasons = "; ".join(dict.fromkeys(check.message for check in checks))
        return Headline(question, "to judge", [*declared, f"Not measured: {reasons}."], "audit")
    sentences = declared + [
        f"Share of a class's entropy: {check.message}." for check in measured if check.id == "confounding"
    ]
    aucs = [check.value for check in measured if check.id != "confounding" and check.value is not None]
    if aucs:
        sentences.append(
            "Simple classifiers that do not see the lungs predict the class with an area under the ROC curve "
            f"of up to {max(aucs):.2f} (guessing: 0.5)."
        )
        present = set(contents.kept["label"])
        if unprobed := describe_unprobed(
            measured, [one for one in contents.recipe.classes if one in present]
        ):
            sentences.append(unprobed)
    return Headline(question, _verdict(measured, to_judge=True), sentences, "audit")


def _describe_licenses(contents: Contents) -> Headline:
    rows = list_licenses(contents)
    unknown = sum(row.images for row in rows if row.name == "unknown")
    withheld = sum(contents.count_withheld().values())
    named = ", ".join(f"{row.name} {row.images:,}" for row in rows if row.name != "unknown")
    sentences = [f"Images by licence: {named}." if named else "No licence is known."]
    if unknown:
        sentences.append(f"{count_of(unknown, 'image')} without a stated licence.")
    if contents.policy == "private":
        sentences.append(
            "This release is private: it includes all pixels, whatever their licence. Do not redistribute it."
        )
    elif withheld:
        sentences.append(f"The pixels of {count_of(withheld, 'image')} are withheld.")
    uncertain = any(row.conditions == "not known" and row.embedded for row in rows)
    judged = uncertain or contents.policy == "private"
    return Headline("Licences", "to judge" if judged else "passed", sentences, "licences")


def _describe_model(baseline: BaselineDocument | None, explanation: ExplanationDocument | None) -> Headline:
    question = "What the model learned"
    sentences = []
    if baseline is not None:
        accuracy = (
            baseline.summary.metrics["test"].accuracy.mean if "test" in baseline.summary.metrics else None
        )
        recall = mean_recall(baseline.runs, baseline.classes)
        figures = [f"accuracy {accuracy:.3f}"] if accuracy is not None else []
        figures += [f"recall of {name} {value:.3f}" for name, value in recall.items() if value is not None]
        sentences.append(f"The baseline on test: {', '.join(figures) or 'no figure is defined'}.")
    if explanation is None:
        sentences.append(
            "Where the model looks is unknown: it was not explained."
            if baseline is not None
            else "No baseline was trained and no model explained."
        )
        command = (
            "cxrbuild explain --build DIR" if baseline is not None else "cxrbuild train-baseline --build DIR"
        )
        return Headline(question, "not run", sentences, "baseline", command)
    sentences.append(explanation.sentence)
    verdicts: dict[bool | None, Verdict] = {None: "to judge", True: "passed", False: "failed"}
    return Headline(question, verdicts[explanation.passed], sentences, "explanation")


def _checks(audit: AuditDocument, ids: Sequence[str]) -> list[CheckResult]:
    return [check for check in audit.checks if check.id in ids]


def _verdict(checks: Sequence[CheckResult], *, to_judge: bool) -> Verdict:
    if any(check.status == "failed" for check in checks):
        return "failed"
    return "to judge" if to_judge else "passed"
