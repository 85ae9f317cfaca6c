"""Describe the measured confounding of a dataset, in sentences for the reader of a release."""

from __future__ import annotations

from collections.abc import Sequence

from cxrbuild.artifact import CheckResult
from cxrbuild.artifact.audit import describe_unprobed
from cxrbuild.artifact.audit_finding import AssociationFinding
from cxrbuild.auditing.probes import PROBES

# A release warns from here on: the share of a class's entropy that a property explains, and the AUC of a
# probe.
_SHARE, _AUC = 0.1, 0.6


def describe_biases(results: Sequence[CheckResult], classes: Sequence[str]) -> list[str]:
    """Return sentences about the measured confounding; none where nothing was measured.

    Parameters
    ----------
    results
        The results of the checks.
    classes
        The classes that have images.
    """
    return [*_describe_associations(results), *_describe_probes(results, classes)]


def _describe_associations(results: Sequence[CheckResult]) -> list[str]:
    associations = [
        finding
        for result in results
        for finding in result.findings
        if isinstance(finding, AssociationFinding)
    ]
    if not associations:
        return []
    strong = [
        f"{finding.property} {finding.share:.0%} of {finding.label}"
        for finding in associations
        if finding.share >= _SHARE
    ]
    if not strong:
        return [
            "Measured: no single property of the file or the patient explains a tenth of a class's entropy."
        ]
    return [f"Measured: single properties explain shares of a class's entropy: {', '.join(strong)}."]


def _describe_probes(results: Sequence[CheckResult], classes: Sequence[str]) -> list[str]:
    aucs = [
        (PROBES[result.id].description, result.value)
        for result in results
        if result.id in PROBES and result.value is not None
    ]
    if not aucs:
        return []
    figures = "; ".join(f"{description}: {auc:.2f}" for description, auc in aucs)
    measured = f"Area under the ROC curve on patients not trained on (0.5 is guessing): {figures}."
    if unprobed := describe_unprobed(results, classes):
        measured += f" {unprobed}"
    if max(auc for _, auc in aucs) < _AUC:
        return [
            f"Measured: simple classifiers that do not see the lungs hardly predict the class. {measured}"
        ]
    return [
        f"Measured: simple classifiers that do not see the lungs predict the class. {measured} A network "
        "with the same AUC on this dataset may not use the lungs."
    ]
