"""The checks of `audit`, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cxrbuild.auditing import confounding, integrity, leakage, patients
from cxrbuild.auditing.context import Context
from cxrbuild.auditing.probes import PROBES
from cxrbuild.checks import Check, Finding, Measurement, registered_checks

_SHARE, _AUC = 0.2, 0.7


def _check(
    check_id: str,
    sentence: str,
    run: Callable[[Context], Iterable[Finding] | Measurement],
    limit: float | None,
) -> Check[Context]:
    return Check(check_id, sentence, run, "audit", limit=limit, applies_to=frozenset({"build"}))


CHECKS = (
    _check(
        "image_integrity", "Every image of the manifest is available, with the bytes of the build.",
        integrity.check_image_integrity, 0,
    ),
    _check(
        "patient_leakage", "No patient, with all linked patients, has images in two splits.",
        patients.check_patient_leakage, 0,
    ),
    _check(
        "shared_patient_ids", "No patient id that two sources share is in two splits.",
        patients.check_shared_patient_ids, 0,
    ),
    _check(
        "duplicate_leakage", "No image, or near-duplicate of it, is in two splits.",
        leakage.check_duplicate_leakage, 0,
    ),
    _check(
        "label_conflicts", "No image, or near-duplicate of it, has two labels.",
        leakage.check_label_conflicts, 0,
    ),
    _check(
        "unlinked_duplicates", "Patients who share an image are linked.",
        leakage.check_unlinked_duplicates, None,
    ),
    _check("duplicates", "No image has a duplicate.", leakage.check_duplicates, None),
    _check(
        "similar_patient_ids", "No two patients have ids that differ only after the last digit.",
        patients.check_similar_patient_ids, None,
    ),
    _check("unknown_patients", "Every image has a patient id.", patients.check_unknown_patients, None),
    _check(
        "confounding", "No property of the file or the patient predicts the class (share of entropy).",
        confounding.check_confounding, _SHARE,
    ),
    *(_check(check_id, probe.sentence, probe.check, _AUC) for check_id, probe in PROBES.items()),
)  # fmt: skip


def audit_checks() -> tuple[Check[Context], ...]:
    """Return the checks of `audit`, those of other packages last.

    Raises
    ------
    CxrbuildError
        A check of another package cannot be used.
    """
    return registered_checks("audit", CHECKS)
