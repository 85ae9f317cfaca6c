"""What to do about a check of an audit that found something."""

from __future__ import annotations

from cxrbuild.artifact import CheckResult

_SHORTCUT = (
    "A network can learn this instead of the disease. Restrict the recipe to what the classes share, add "
    "sources of several classes where a class is of sources of its own, and run `cxrbuild explain` on each "
    "model."
)
_NEXT_STEPS = {
    "image_integrity": "Run `cxrbuild curate` again: it restores what is missing or changed.",
    "patient_leakage": (
        "Link the patients in a link file of the recipe, so that they are in one split; then run "
        "`cxrbuild curate` and `cxrbuild audit` again."
    ),
    "shared_patient_ids": (
        "Ask the sources whether equal ids are of one person. If so, give both sources the same "
        "`patient_namespace`; then run `cxrbuild curate` and `cxrbuild audit` again."
    ),
    "duplicate_leakage": (
        "Compare the images of each pair. Declare duplicates in a link file of the recipe, so that both are "
        "in one split; then run `cxrbuild curate` and `cxrbuild audit` again."
    ),
    "label_conflicts": (
        "Compare the images of each pair, and the findings that the sources state. Declare the pair in a "
        "link file; a rule of the kind `duplicate` keeps one of them. Report the conflict to the source."
    ),
    "unlinked_duplicates": "Declare each pair in a link file of the recipe, so that its patients are linked.",
    "duplicates": (
        "Decide whether an image may occur twice. To keep one of each pair, declare the pairs in a link "
        "file, and add a rule of the kind `duplicate` to the recipe."
    ),
    "similar_patient_ids": (
        "Ask the source whether ids with one number are of one person. If so, declare them as "
        "`same patient` in a link file of the recipe."
    ),
    "unknown_patients": (
        "Declare the column of the patient in the source, if its metadata has one. Until then each image "
        "counts as a patient, and two images of one person may be in two splits."
    ),
    "confounding": _SHORTCUT,
}


def next_step(check: CheckResult) -> str:
    """Return what to do about a check; empty where it found nothing, or is of another package.

    Parameters
    ----------
    check
        The result of the check.
    """
    if not check.value:
        return ""
    return _SHORTCUT if check.id.startswith("probe_") else _NEXT_STEPS.get(check.id, "")
