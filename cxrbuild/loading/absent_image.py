"""Explain why a dataset does not have the pixels of an image, or of any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import Artifact
from cxrbuild.errors import CxrbuildError, count_of, name_some, nearest

if TYPE_CHECKING:
    import pandas as pd


def absent_image(
    artifact: Artifact, split: str | None, folds: Sequence[int] | None, image_id: str
) -> CxrbuildError:
    """Return the error that says why an image cannot be read.

    Parameters
    ----------
    artifact
        The build or release.
    split, folds
        The split and the folds of the dataset that lacks the image, ``None`` for all.
    image_id
        The image.
    """
    manifest = artifact.manifest
    row = manifest[manifest["image_id"] == image_id]
    where = artifact.folder
    if row.empty:
        ledger = artifact.ledger
        excluded = ledger.loc[ledger["image_id"] == image_id, "exclusion"]
        if len(excluded):
            return CxrbuildError(
                f"the dataset does not have the image {image_id}", where=where,
                found=f"excluded: {excluded.iloc[0]}",
                todo=f"`cxrbuild why {image_id} --build {where}` shows what decided",
            )  # fmt: skip
        near = nearest(image_id, manifest["image_id"])
        return CxrbuildError(
            f"the dataset has no image {image_id!r}", where=where,
            expected=f"one of {name_some(manifest['image_id'], 3)}",
            todo=f"Write {near}, the nearest name"
            if near
            else "Name an `image_id` of the rows, which `to_pandas()` returns",
        )  # fmt: skip
    its_split, its_fold = row["split"].iloc[0], row["fold"].iloc[0]
    if split is not None and its_split != split:
        return CxrbuildError(
            f"the image {image_id} is in the split {its_split}", where=where,
            expected=f"an image of the split {split}", todo=f'Read it from `select("{its_split}")`',
        )  # fmt: skip
    if folds is not None and its_fold not in folds:
        return CxrbuildError(
            f"the image {image_id} is in the fold {its_fold}", where=where,
            expected=f"an image of the folds {', '.join(map(str, folds))}",
            todo="Read it from the other dataset that `fold` returned",
        )  # fmt: skip
    return CxrbuildError(
        f"the release withholds the pixels of {image_id}", where=where,
        found=row["withheld"].iloc[0], todo="Build the dataset with `cxrbuild curate` to have them",
    )  # fmt: skip


def without_pixels(folder: Path, split: str | None, withheld: pd.Series) -> CxrbuildError:
    """Return the error that a release has the pixels of no image of a dataset.

    Parameters
    ----------
    folder
        The release.
    split
        The split of the dataset, ``None`` for all.
    withheld
        Why the pixels of each of its images are withheld.
    """
    of_split = "" if split is None else f" of the split {split}"
    reasons = [f"{count_of(int(n), 'image')} {reason}" for reason, n in withheld.value_counts().items()]
    return CxrbuildError(
        f"no image{of_split} has pixels in this release", where=folder,
        found=f"withheld: {', '.join(reasons)}",
        todo="Load the build that it was made from, or a private release of it; "
        "`load(...).artifact.manifest` has the rows",
    )  # fmt: skip
