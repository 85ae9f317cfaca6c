"""What a reviewer looks for first: leakage, duplicates, confounding, licences, what the model learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Literal

from cxrbuild.artifact import AuditDocument, BaselineDocument, CheckResult, ExplanationDocument
from cxrbuild.artifact.audit import describe_unprobed
from cxrbuild.artifact.audit_finding import (
    AssociationFinding,
    AuditFinding,
    PairFinding,
    ProbeFinding,
    SimilarIdsFinding,
    UnknownPatientsFinding,
)
from cxrbuild.artifact.baseline_summary import mean_recall
from cxrbuild.checks import Topic
from cxrbuild.contents import Contents, describe_sources_of_classes
from cxrbuild.documents import list_licenses
from cxrbuild.documents.license_table import FORBIDDEN, UNKNOWN
from cxrbuild.errors import count_of

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["failed", "above the usual limit", "to judge", "not run", "passed"]
# The most severe first. A mark has a shape of its own: colour alone would not do.
_MARKS: dict[Verdict, str] = {
    "failed": "\N{BALLOT X}",
    "above the usual limit": "\N{BLACK UP-POINTING TRIANGLE}",
    "to judge": "?",
    "not run": "\N{EN DASH}",
    "passed": "\N{CHECK MARK}",
}
_SEVERITY = tuple(_MARKS)
_AUDIT = "cxrbuild audit --build DIR"


@dataclass(frozen=True)
class Headline:
    """What is known about one question.

    Attributes
    ----------
    question
        What it is about.
    verdict
        ``failed`` by a limit of the recipe; ``above the usual limit`` where a check found more than its
        default limit, and the recipe allows or only reports it; ``to judge`` where something was found that
        has no limit; ``not run`` where nothing is known; else ``passed``.
    sentences
        What was found.
    sections
        The ids of the parts of a page that can have the details, the best first.
    command
        The command that answers the question, empty where it was run.
    none_found
        Whether ``passed`` means that nothing was found.
    """

    question: str
    verdict: Verdict
    sentences: Sequence[str]
    sections: Sequence[str]
    command: str = ""
    none_found: bool = False

    @property
    def mark(self) -> str:
        """A sign whose shape differs by verdict."""
        return _MARKS[self.verdict]

    @property
    def word(self) -> str:
        """The verdict in words."""
        return "none found" if self.none_found and self.verdict == "passed" else self.verdict


def list_headlines(
    rows: pd.DataFrame,
    classes: Sequence[str],
    audit: AuditDocument | None,
    *,
    release: Contents | None = None,
    baseline: BaselineDocument | None = None,
    explanation: ExplanationDocument | None = None,
) -> list[Headline]:
    """Return what is known about each question, the most severe first.

    Parameters
    ----------
    rows
        The images of the build or release: ``label``, ``source`` and ``license``.
    classes
        The classes of the recipe, in order.
    audit
        The result of its audit, ``None`` where there is none.
    release
        The content of the release; ``None`` for a build, about whose model nothing is said.
    baseline, explanation
        The other results of the release, ``None`` where there is none.
    """
    headlines = [
        _describe_leakage(audit),
        _describe_confounding(rows, classes, audit),
        _describe_duplicates(audit),
        _describe_licenses(rows, release),
        *([_describe_model(baseline, explanation)] if release is not None else []),
        *_describe_others(audit),
    ]
    return sorted(headlines, key=lambda one: _SEVERITY.index(one.verdict))


def _describe_leakage(audit: AuditDocument | None) -> Headline:
    question = "Leakage between splits"
    if audit is None:
        return Headline(question, "not run", ["The build was not audited."], ["audit"], _AUDIT)
    of_topic = _checks(audit, "leakage")
    # They find what may be leakage.
    unsure = [
        check
        for check in of_topic
        if check.status != "failed" and _has(check, SimilarIdsFinding | UnknownPatientsFinding)
    ]
    checks = [check for check in of_topic if check not in unsure]
    found = _describe_found(checks)
    sentences = [*found] or ["No patient, and no duplicate of an image, is in two splits."]
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
            f"Not known: in several splits are {' and '.join(possible)}. There is leakage if they are of one "
            "person."
        )
    sentences += [
        f"Not known: {check.message}; each of these images counts as a patient."
        for check in unsure
        if _has(check, UnknownPatientsFinding)
    ]
    verdict = _verdict(checks, to_judge=bool(found))
    return Headline(question, verdict, sentences, _sections([*checks, *unsure]), none_found=True)


def _describe_duplicates(audit: AuditDocument | None) -> Headline:
    question = "Duplicates"
    if audit is None:
        return Headline(question, "not run", ["The build was not audited."], ["audit"], _AUDIT)
    checks = _checks(audit, "duplicates")
    # A check of another package that could not be made counted no pairs.
    counting = [
        check
        for check in checks
        if check.about.counted_pairs is not None
        and all(isinstance(finding, PairFinding) for finding in check.findings)
    ]
    found = [check.message + _name_usual(check, " (usual limit: {})") for check in counting if check.value]
    others = _describe_found([check for check in checks if check not in counting])
    sentences = [f"Found: {'; '.join(found)}."] if found else ["No image has a duplicate."]
    sentences += others
    skipped = audit.duplicate_search.skipped_pairs
    if skipped:
        sentences.append(f"The search was not complete: {count_of(skipped, 'pair')} were not compared.")
    verdict = _verdict(checks, to_judge=bool(found or others or skipped))
    # The check that counts all pairs first.
    sections = _sections(sorted(checks, key=lambda check: check.about.counted_pairs != "all"))
    return Headline(question, verdict, sentences, sections, none_found=True)


def _describe_confounding(
    rows: pd.DataFrame, classes: Sequence[str], audit: AuditDocument | None
) -> Headline:
    question = "Confounding"
    of_classes = describe_sources_of_classes(rows, classes)
    declared = [" ".join(of_classes)] if of_classes else []
    if audit is None:
        unknown = ["What else predicts the class is unknown: the build was not audited."]
        return Headline(question, "not run", [*declared, *unknown], ["audit"], _AUDIT)
    checks = _checks(audit, "confounding")
    measured = [check for check in checks if check.value is not None]
    associations = [check for check in measured if _has(check, AssociationFinding)]
    probes = [check for check in measured if _has(check, ProbeFinding)]
    sentences = declared + [
        f"Share of a class's entropy: {check.message}{_name_usual(check, ' (usual limit: {})', '.0%')}."
        for check in associations
    ]
    if not associations and not probes:
        reasons = dict.fromkeys(check.message for check in checks if check.value is None)
        sentences.append(f"Not measured: {'; '.join(reasons)}.")
    if probes:
        best = max(probes, key=lambda check: check.value or 0)
        sentences.append(
            "Simple classifiers that do not see the lungs predict the class with an area under the ROC curve "
            f"of up to {best.value:.2f} (guessing: 0.5{_name_usual(best, ', usual limit: {}')})."
        )
        present = set(rows["label"])
        if unprobed := describe_unprobed(measured, [one for one in classes if one in present]):
            sentences.append(unprobed)
    found = _describe_found([check for check in measured if check not in (*associations, *probes)])
    to_judge = bool(declared or found or not (associations or probes))
    return Headline(question, _verdict(measured, to_judge=to_judge), sentences + found, _sections(measured))


def _describe_others(audit: AuditDocument | None) -> list[Headline]:
    """Return what checks of no topic found; nothing where they found nothing."""
    checks = [] if audit is None else _checks(audit, None)
    if not (found := _describe_found(checks)):
        return []
    return [Headline("Other checks", _verdict(checks, to_judge=True), found, _sections(checks))]


def _describe_licenses(rows: pd.DataFrame, release: Contents | None) -> Headline:
    licenses = list_licenses(rows, rows if release is None else release.embedded)
    unknown = sum(row.images for row in licenses if row.name == "unknown")
    named = ", ".join(f"{row.name} {row.images:,}" for row in licenses if row.name != "unknown")
    sentences = [f"Images by licence: {named}." if named else "No licence is known."]
    if unknown:
        sentences.append(f"{count_of(unknown, 'image')} without a stated licence.")
    if release is not None and release.policy == "private":
        sentences.append(
            "This release is private: it includes all pixels, whatever their licence. Do not redistribute it."
        )
    elif release is not None and (withheld := sum(release.count_withheld().values())):
        sentences.append(f"The pixels of {count_of(withheld, 'image')} are withheld.")
    forbidden = sum(row.embedded for row in licenses if row.conditions == FORBIDDEN)
    if release is None and forbidden:
        sentences.append(f"The licence of {count_of(forbidden, 'image')} does not allow copies.")
    judged = bool(forbidden) or any(row.conditions == UNKNOWN for row in licenses)
    judged |= release is not None and release.policy == "private"
    return Headline("Licences", "to judge" if judged else "passed", sentences, ["licences"])


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
        return Headline(question, "not run", sentences, ["baseline"], command)
    sentences.append(explanation.sentence)
    verdicts: dict[bool | None, Verdict] = {None: "to judge", True: "passed", False: "failed"}
    return Headline(question, verdicts[explanation.passed], sentences, ["explanation"])


def _checks(audit: AuditDocument, topic: Topic | None) -> list[CheckResult]:
    return [check for check in audit.checks if check.about.topic == topic]


def _has(check: CheckResult, kinds: type[AuditFinding] | UnionType) -> bool:
    """Return whether a check has a finding of some kinds."""
    return any(isinstance(finding, kinds) for finding in check.findings)


def _describe_found(checks: Sequence[CheckResult]) -> list[str]:
    """Return a sentence for each check that failed, exceeds its default limit, or reports what it found."""
    return [
        f"Must hold: {check.sentence} Found: {check.message}."
        for check in checks
        if check.status == "failed" or (check.value and check.status == "reported") or _is_above_usual(check)
    ]


def _is_above_usual(check: CheckResult) -> bool:
    usual = check.about.default_limit
    return usual is not None and (check.value or 0) > usual


def _name_usual(check: CheckResult, text: str, form: str = "g") -> str:
    """Return a text with the default limit of a check; empty where it has none."""
    usual = check.about.default_limit
    return "" if usual is None else text.format(format(usual, form))


def _sections(checks: Sequence[CheckResult]) -> list[str]:
    """Return where the details of checks are: under those that found something, else in the table."""
    return [*(check.id for check in checks if check.value), "checks", "audit"]


def _verdict(checks: Sequence[CheckResult], *, to_judge: bool = False) -> Verdict:
    if any(check.status == "failed" for check in checks):
        return "failed"
    if any(map(_is_above_usual, checks)):
        return "above the usual limit"
    return "to judge" if to_judge else "passed"
