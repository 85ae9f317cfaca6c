"""Train-test leakage: images of a test split whose patients a saved model was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.baseline.input import Images
from cxrbuild.errors import CxrbuildError, name_some

if TYPE_CHECKING:
    import pandas as pd


def find_seen(images: pd.DataFrame, trained: pd.DataFrame) -> pd.Series:
    """Return for each image whether a model was trained on it or on another image of its patient.

    An image is identified by its id or its bytes. A patient is identified by the group of either dataset,
    which joins all images of a patient with everything linked to them, and by source and patient_id, because
    a group can have another name where other images are linked.

    Parameters
    ----------
    images
        All images of the dataset: a third image can join a test image with one that the model was trained on.
    trained
        The images that the model was trained on.
    """
    known = images["image_id"].isin(trained["image_id"]) | images["sha256"].isin(trained["sha256"].dropna())
    known |= _patients(images).isin(_patients(trained).dropna())
    return images["group"].isin([*trained["group"], *images.loc[known, "group"]])


def require_unseen(model: Path, images: pd.DataFrame, seen: pd.Series) -> None:
    """Check that no image of a test split is of a patient that the model was trained on.

    Parameters
    ----------
    model
        The saved model.
    images
        All images of the dataset.
    seen
        The result of ``find_seen``.

    Raises
    ------
    CxrbuildError
        There are such images; they are counted by split and class, and some are named.
    """
    tested = images[images["split"] != "train"]
    leaked = tested[seen[tested.index]]
    if len(leaked):
        totals = tested.groupby(["split", "label"]).size()
        counts = [
            f"{split} {label} {count:,} of {totals[split, label]:,}"
            for split, label, count in leaked.groupby(["split", "label"]).size().reset_index().to_numpy()
        ]
        raise CxrbuildError(
            "leakage: the model was trained on images of patients in the test",
            where=model,
            expected="a test on patients that the model was not trained on",
            found=f"{'; '.join(counts)}: {name_some(leaked['image_id'], 5)}",
            todo="Add --exclude-seen to test it on the other images only, or train a model on this build",
        )


def exclude_seen(
    model: Path, images: Images, seen: pd.Series, classes: list[str]
) -> tuple[Images, dict[str, dict[str, int]]]:
    """Exclude the test images of patients that the model was trained on.

    Parameters
    ----------
    model
        The saved model.
    images
        The dataset.
    seen
        The result of ``find_seen``.
    classes
        The classes in the order of their numbers.

    Returns
    -------
    The other images, and the number of excluded images by split and class.

    Raises
    ------
    CxrbuildError
        No test image of a class remains.
    """
    leaked = (seen & (images.table["split"] != "train")).to_numpy()
    counts = images.table[leaked].groupby(["split", "label"]).size()
    remaining = images.select(~leaked)
    tested = remaining.labels[remaining.rows("test")]
    missing = [name for number, name in enumerate(classes) if number not in tested]
    if missing:
        raise CxrbuildError(
            f"no test image of {', '.join(missing)} remains",
            where=model,
            expected="test images of each class, of patients that the model was not trained on",
            found=f"{int(leaked.sum()):,} images excluded",
            todo="Evaluate a model that was trained on other images, or train one on this build",
        )
    return remaining, {
        split: {name: int(counts.get((split, name), 0)) for name in classes}
        for split in images.splits
        if split != "train"
    }


def _patients(images: pd.DataFrame) -> pd.Series:
    """Return the patient of each image, null where unknown; an id is unique within its source only."""
    return images["source"] + ":" + images["patient_id"]
