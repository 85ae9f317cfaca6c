"""What to do about a check of an audit that found something."""

from __future__ import annotations

from collections.abc import Iterable

from cxrbuild.artifact import CheckResult

# What each check looks at that a network can learn instead of the disease.
_SHORTCUTS = {
    "confounding": "what the sources state, such as source, view or age",
    "probe_border": "the border: padding, collimation, letters at the edge",
    "probe_encoder": "size, aspect ratio, format and encoder settings of the upstream files",
    "probe_histogram": "brightness and contrast",
    "probe_thumbnail": "16 x 16 pixels: exposure, position, cropping",
}
_REMEDY = (
    "If that predicts the class, a network can learn it instead of the disease. Keep images in which the "
    "classes are similar, by a rule of the recipe, or add images so that each class has every kind. If you "
    "can do neither, as with one hospital and one device, state it in the card, and see with "
    "`cxrbuild explain` what a model uses."
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
}


def next_step(check: CheckResult) -> str:
    """Return what to do about a check; empty where it passed or found nothing, or is of another package.

    Parameters
    ----------
    check
        The result of the check.
    """
    return " ".join(next_steps([check]))


def next_steps(checks: Iterable[CheckResult]) -> list[str]:
    """Return what to do about checks, each step once.

    Parameters
    ----------
    checks
        The results of the checks. Those that passed or found nothing need no step.
    """
    found = [check.id for check in checks if check.status != "passed" and check.value]
    steps = [_NEXT_STEPS[name] for name in found if name in _NEXT_STEPS]
    if shortcuts := [f"`{name}` looks at {_SHORTCUTS[name]}." for name in found if name in _SHORTCUTS]:
        steps.append(" ".join([*shortcuts, _REMEDY]))
    return steps
