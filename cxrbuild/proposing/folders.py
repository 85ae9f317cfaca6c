"""What the names of folders and files show, where no table does: a regular expression with named groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxrbuild.errors import count_of, name_some
from cxrbuild.proposing.proposal import Certainty, Decision
from cxrbuild.proposing.vocabulary import NORMAL, PATIENT_PART, SPLITS, spaced

# A folder for each finding: there are few, and each has several images.
_MOST_FINDINGS = 50
# A patient has a few images, mostly: names with one beginning for many images are numbered exports. One of
# Mooney's patients has 30 of 5,856 images.
_MEAN_IMAGES, _MOST_IMAGES, _MOST_SHARE = 4, 8, 0.02
# `COVID-12.png`, `Viral Pneumonia-3.png`: the class, then a number.
_CLASS_STEM = r"(?P<finding>[^/\d]*?[^\W\d_][^/]*?)[-_ ]?\(?\d+\)?\.[^./]+$"
# A lazy group takes as little as possible: the file name without its last number.
_STEM = r"(?P<patient>[^/]+?)(?:[-_ ]\d+)?\.[^./]+$"


@dataclass(frozen=True)
class FolderProposal:
    """How paths become columns.

    Attributes
    ----------
    pattern
        A regular expression that every path fits, ``None`` where the names say nothing.
    groups
        Its named groups.
    decisions
        What was decided, by our column.
    """

    pattern: str | None
    groups: tuple[str, ...]
    decisions: dict[str, Decision]


def propose_folders(paths: Sequence[str], *, with_patient: bool) -> FolderProposal:
    """Propose what each level of folders is: the split, the finding, the patient.

    Parameters
    ----------
    paths
        The paths of the images.
    with_patient
        Whether to look for the patient; a DICOM header has it already.
    """
    depth = min(path.count("/") for path in paths)
    levels = [sorted({path.split("/")[level] for path in paths}) for level in range(depth)]
    taken: dict[int, str] = {}
    decisions: dict[str, Decision] = {}

    splits = [i for i, names in enumerate(levels) if all(spaced(name) in SPLITS for name in names)]
    if splits and len(levels[splits[0]]) > 1:
        taken[splits[0]] = "split"
        words = name_some(levels[splits[0]])
        decisions["upstream_split"] = Decision(
            "upstream_split", f"folder {splits[0] + 1}", "sure", f"its folders are {words}"
        )
    patients = [
        i for i, names in enumerate(levels) if all(re.fullmatch(f"(?i){PATIENT_PART}", n) for n in names)
    ]
    if with_patient and patients:
        taken[patients[0]] = "patient"
        decisions["patient_id"] = Decision(
            "patient_id", f"folder {patients[0] + 1}", "sure",
            f"each of its {len(levels[patients[0]]):,} names is a patient's",
        )  # fmt: skip
    findings = [
        i
        for i, names in enumerate(levels)
        if i not in taken and i not in patients
        and 1 < len(names) <= min(_MOST_FINDINGS, max(2, len(paths) // 3))
        and not all(re.fullmatch(r"[\W\d_]*", name) for name in names)
    ]  # fmt: skip
    if findings:
        normal = [i for i in findings if any(spaced(name) in NORMAL for name in levels[i])]
        level = (normal or findings)[0]
        taken[level] = "finding"
        others = tuple(f"folder {i + 1}" for i in findings if i != level)
        reason = f"its folders are {name_some(levels[level], 6)}"
        certainty: Certainty = "sure" if normal or len(findings) == 1 else "not sure"
        decisions["finding"] = Decision("finding", f"folder {level + 1}", certainty, reason, others)
    head = "^" + "".join(
        (f"(?P<{taken[i]}>[^/]+)/" if i in taken else "[^/]+/") for i in range(max(taken, default=-1) + 1)
    )
    tail = ""
    if not findings and (found := _finding_in_names(paths)) is not None:
        tail, decisions["finding"] = found
        reason = "the names of the files have a class and a number, and no patient"
        decisions["patient_id"] = Decision("patient_id", None, "not sure", reason)
        groups = (*(taken[i] for i in sorted(taken)), "finding")
        return FolderProposal(f"{head}(?:.*/)?{tail}", groups, decisions)
    if with_patient and "patient_id" not in decisions:
        of_finding = next((i for i, group in taken.items() if group == "finding"), None)
        classes = ["" if of_finding is None else path.split("/")[of_finding] for path in paths]
        tail, decisions["patient_id"] = _patient_in_names(paths, classes)
    groups = (*(taken[i] for i in sorted(taken)), *(("patient",) if tail else ()))
    pattern = head + (f"(?:.*/)?{tail}" if tail else "") if groups else None
    return FolderProposal(pattern, groups, decisions)


def _finding_in_names(paths: Sequence[str]) -> tuple[str, Decision] | None:
    """Return the end of a pattern that finds the class in a file's name, if each has a word and a number."""
    found = [re.search(_CLASS_STEM, path.rpartition("/")[2]) for path in paths]
    words = {match["finding"] for match in found if match}
    several = 1 < len(words) <= min(_MOST_FINDINGS, len(paths) // 3)
    # One of the words says that there is no finding: else it can be anything, such as a site.
    if not all(found) or not several or not any(spaced(word) in NORMAL for word in words):
        return None
    reason = f"the names of the files begin with {name_some(sorted(words), 6)}"
    return _CLASS_STEM, Decision("finding", "file name", "likely", reason)


def _patient_in_names(paths: Sequence[str], classes: Sequence[str]) -> tuple[str, Decision]:
    """Return the end of a pattern that finds the patient in a file's name, blank where none is there.

    Parameters
    ----------
    paths
        The paths of the images.
    classes
        The folder of each that is its finding, blank where none is.
    """
    names = [path.rpartition("/")[2] for path in paths]
    if all(re.search(rf"(?i)(?:^|[-_]){PATIENT_PART}(?=[-_.])", name) for name in names):
        tail = rf"(?:[^/]*[-_])?(?P<patient>(?i:{PATIENT_PART}))[-_.][^/]*$"
        reason = "the name of each file has the number of a patient"
        return tail, Decision("patient_id", "file name", "likely", reason)
    found = [re.search(_STEM, name) for name in names]
    stems = [match["patient"] for match in found if match]
    images = Counter(stems)
    if all(found) and _are_patients(images) and not _are_classes(stems, classes):
        reason = (
            "the file name without its last number, a guess: "
            f"{count_of(len(images), 'patient')} have {count_of(len(names), 'image')}. Look at the names"
        )
        return _STEM, Decision("patient_id", "file name", "not sure", reason)
    reason = "no name of a folder or file is a patient's: images of one patient can come into two splits"
    return "", Decision("patient_id", None, "not sure", reason)


def _are_patients(images: Mapping[str, int]) -> bool:
    """Return whether names can be patients by how many images each has: some have several, none has many."""
    return 1 < len(images) < sum(images.values()) <= _MEAN_IMAGES * len(images) and max(
        images.values()
    ) <= max(_MOST_IMAGES, _MOST_SHARE * sum(images.values()))


def _are_classes(stems: Sequence[str], classes: Sequence[str]) -> bool:
    """Return whether names are classes: one is called like a folder, or all images of a class have one."""
    of_class: dict[str, set[str]] = {}
    for stem, label in zip(stems, classes, strict=True):
        of_class.setdefault(label, set()).add(stem)
    folders = {spaced(label) for label in of_class if label}
    return any(spaced(stem) in folders for stem in stems) or any(
        len(names) == 1 and classes.count(label) > _MEAN_IMAGES for label, names in of_class.items()
    )
