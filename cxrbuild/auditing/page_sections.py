"""Divide what an audit found into the parts of its page: a part for each check, failed ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cxrbuild.artifact import AuditDocument, CheckResult, ImagePair
from cxrbuild.artifact.audit_finding import (
    AssociationFinding,
    PairFinding,
    ProbeFinding,
    SimilarIdsFinding,
    UnknownPatientsFinding,
)
from cxrbuild.auditing.probes import PROBES
from cxrbuild.report import next_step


@dataclass(frozen=True)
class Section:
    """What a check found.

    Attributes
    ----------
    check
        The check.
    next_step
        What to do about it, empty where it found nothing.
    description
        What a probe sees.
    border_only
        Whether a probe sees the border alone.
    associations, probes
        Its findings of these kinds.
    messages
        Its other findings, in words.
    counted
        The number of its findings by group, where they are many.
    pairs
        The pairs that are shown with it, by title.
    elsewhere
        The number of its pairs that other checks show, by their ids.
    """

    check: CheckResult
    next_step: str = ""
    description: str = ""
    border_only: bool = False
    associations: Sequence[AssociationFinding] = ()
    probes: Sequence[ProbeFinding] = ()
    messages: Sequence[str] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    pairs: Mapping[str, Sequence[ImagePair]] = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_shown(self) -> bool:
        """Whether it has a part of the page: whether it found anything."""
        return bool(self.check.findings)


def list_sections(document: AuditDocument, pairs: Sequence[ImagePair]) -> list[Section]:
    """Return a part for each check: failed, reported with findings, passed with findings, then the others.

    Parameters
    ----------
    document
        What the audit found.
    pairs
        The pairs that the page shows.
    """
    found = {
        check.id: {(finding.a, finding.b) for finding in check.findings if isinstance(finding, PairFinding)}
        for check in document.checks
    }
    checks = sorted(document.checks, key=_severity)
    # A pair is shown once, under the most specific of its checks, so not under one that lists all pairs.
    order = [
        check.id
        for check in sorted(checks, key=lambda check: check.about.counted_pairs == "all")
        if found[check.id]
    ]
    place = {
        (pair.a, pair.b): next(name for name in order if (pair.a, pair.b) in found[name])
        for pair in pairs
        if any((pair.a, pair.b) in found[name] for name in order)
    }
    return [
        _describe(
            check,
            [pair for pair in pairs if place.get((pair.a, pair.b)) == check.id],
            Counter(name for pair, name in place.items() if pair in found[check.id] and name != check.id),
        )
        for check in checks
    ]


def _severity(check: CheckResult) -> int:
    if check.status == "failed":
        return 0
    if check.value:
        return 1 if check.status == "reported" else 2
    return 4 if check.status == "not applicable" else 3


def _describe(check: CheckResult, pairs: Sequence[ImagePair], elsewhere: Mapping[str, int]) -> Section:
    probe = PROBES.get(check.id)
    return Section(
        check,
        next_step=next_step(check),
        description="" if probe is None else probe.description,
        border_only=probe is not None and probe.border_only,
        associations=[finding for finding in check.findings if isinstance(finding, AssociationFinding)],
        probes=[finding for finding in check.findings if isinstance(finding, ProbeFinding)],
        messages=[
            finding.message
            for finding in check.findings
            if not isinstance(finding, AssociationFinding | PairFinding | ProbeFinding)
        ],
        counted=_count(check),
        pairs=_group(pairs),
        elsewhere=dict(sorted(elsewhere.items())),
    )


def _count(check: CheckResult) -> dict[str, int]:
    """Return the number of findings by source and splits, most first."""
    counts: Counter[str] = Counter()
    for finding in check.findings:
        if isinstance(finding, SimilarIdsFinding):
            counts[f"{finding.source}: {' and '.join(finding.splits)}"] += 1
        elif isinstance(finding, UnknownPatientsFinding):
            counts[finding.source] += finding.images
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _group(pairs: Sequence[ImagePair]) -> dict[str, list[ImagePair]]:
    """Return pairs by what their images differ in, the most important first."""
    titles: dict[str, Callable[[ImagePair], bool]] = {
        "In two splits": lambda pair: "split" in pair.crosses,
        "With two labels": lambda pair: "label" in pair.crosses,
        "Of patients who are not linked": lambda pair: not pair.linked,
        "Of linked patients": lambda pair: "patient" in pair.crosses,
        "Of one patient": lambda _: True,
    }
    grouped: dict[str, list[ImagePair]] = {title: [] for title in titles}
    for pair in pairs:
        grouped[next(title for title, applies in titles.items() if applies(pair))].append(pair)
    return {title: group for title, group in grouped.items() if group}
