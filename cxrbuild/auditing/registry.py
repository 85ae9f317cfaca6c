"""The checks of `audit`, in the order in which they are reported: all that is known of each is here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from cxrbuild.auditing import confounding, integrity, leakage, patients
from cxrbuild.auditing.context import Context
from cxrbuild.auditing.probes import PROBES
from cxrbuild.checks import Check, CountedPairs, Finding, Measurement, Topic, registered_checks

_SHARE, _AUC = 0.2, 0.7


def _check(
    check_id: str,
    sentence: str,
    run: Callable[[Context], Iterable[Finding] | Measurement],
    limit: float | None,
    *,
    topic: Topic | None = None,
    counted_pairs: CountedPairs | None = None,
    shortcut: str = "",
    next_step: str = "",
) -> Check[Context]:
    return Check(
        check_id, sentence, run, "audit", limit=limit, applies_to=frozenset({"build"}), topic=topic,
        counted_pairs=counted_pairs, shortcut=shortcut, next_step=next_step,
    )  # fmt: skip


def _duplicates(
    check_id: str,
    sentence: str,
    counted_pairs: CountedPairs,
    where: str,
    limit: float | None,
    *,
    topic: Topic,
    next_step: str,
) -> Check[Context]:
    run = partial(leakage.count_duplicates, counted=counted_pairs, where=where)
    return _check(
        check_id, sentence, run, limit, topic=topic, counted_pairs=counted_pairs, next_step=next_step
    )


CHECKS = (
    _check(
        "image_integrity",
        "Every image of the manifest is available, with the bytes of the build.",
        integrity.check_image_integrity,
        0,
        next_step="Run `cxrbuild curate` again: it restores what is missing or changed.",
    ),
    _check(
        "patient_leakage",
        "No patient, with all linked patients, has images in two splits.",
        patients.check_patient_leakage,
        0,
        topic="leakage",
        next_step="Link the patients in a link file of the recipe, so that they are in one split; then run "
        "`cxrbuild curate` and `cxrbuild audit` again.",
    ),
    _check(
        "shared_patient_ids",
        "No patient id that two sources share is in two splits.",
        patients.check_shared_patient_ids,
        0,
        topic="leakage",
        next_step="Ask the sources whether equal ids are of one person. If so, give both sources the same "
        "`patient_namespace`; then run `cxrbuild curate` and `cxrbuild audit` again.",
    ),
    _duplicates(
        "duplicate_leakage",
        "No image, or near-duplicate of it, is in two splits.",
        "split",
        "in two splits",
        0,
        topic="leakage",
        next_step="Compare the images of each pair. Declare duplicates in a link file of the recipe, so that "
        "both are in one split; then run `cxrbuild curate` and `cxrbuild audit` again.",
    ),
    _duplicates(
        "label_conflicts",
        "No image, or near-duplicate of it, has two labels.",
        "label",
        "with two labels",
        0,
        topic="duplicates",
        next_step="Compare the images of each pair, and the findings that the sources state. Declare the "
        "pair in a link file; a rule of the kind `duplicate` keeps one of them. Report the conflict to the "
        "source.",
    ),
    _duplicates(
        "unlinked_duplicates",
        "Patients who share an image are linked.",
        "unlinked",
        "of patients who are not linked",
        None,
        topic="duplicates",
        next_step="Declare each pair in a link file of the recipe, so that its patients are linked.",
    ),
    _duplicates(
        "duplicates",
        "No image has a duplicate.",
        "all",
        "",
        None,
        topic="duplicates",
        next_step="Decide whether an image may occur twice. To keep one of each pair, declare the pairs in a "
        "link file, and add a rule of the kind `duplicate` to the recipe.",
    ),
    _check(
        "similar_patient_ids",
        "No two patients have ids that differ only after the last digit.",
        patients.check_similar_patient_ids,
        None,
        topic="leakage",
        next_step="Ask the source whether ids with one number are of one person. If so, declare them as "
        "`same patient` in a link file of the recipe.",
    ),
    _check(
        "unknown_patients",
        "Every image has a patient id.",
        patients.check_unknown_patients,
        None,
        topic="leakage",
        next_step="Declare the column of the patient in the source, if its metadata has one. Until then each "
        "image counts as a patient, and two images of one person may be in two splits.",
    ),
    _check(
        "confounding",
        "No property of the file or the patient predicts the class (share of entropy).",
        confounding.check_confounding,
        _SHARE,
        topic="confounding",
        shortcut="what the sources state, such as source, view or age",
    ),
    *(
        _check(check_id, probe.sentence, probe.check, _AUC, topic="confounding", shortcut=probe.shortcut)
        for check_id, probe in PROBES.items()
    ),
)


def audit_checks() -> tuple[Check[Context], ...]:
    """Return the checks of `audit`, those of other packages last.

    Raises
    ------
    CxrbuildError
        A check of another package cannot be used.
    """
    return registered_checks("audit", CHECKS)
