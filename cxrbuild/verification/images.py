"""Whether a folder of bare images is what a manifest says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.files import files_under
from cxrbuild.progress import Progress
from cxrbuild.records import SPLITS
from cxrbuild.verification.finding import Finding
from cxrbuild.verification.jpeg import check_jpeg

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 64


def check_images(
    folder: Path, root: Path, manifest: pd.DataFrame, progress: Progress, faults: list[Finding]
) -> int:
    """Check each JPEG below a folder, and that none is missing or too many.

    An image is known by its file's name, the image_id. Where the folders above it name a part and a class,
    as ``curate`` lays them out, these must be the manifest's.

    Parameters
    ----------
    folder
        The folder of the images.
    root
        The folder that faults name files from.
    manifest
        The rows; what it says of pixels is checked, and their part and class.
    progress
        Told how many images are checked.
    faults
        Where faults go.

    Returns
    -------
    int
        How many images were there.
    """
    rows = manifest.drop_duplicates("image_id").set_index("image_id", drop=False)
    classes = set(rows["label"])
    seen: dict[str, str] = {}
    paths = (Path(entry.path) for entry in (files_under(folder) if folder.is_dir() else ()))
    images = (path for path in paths if path.suffix.lower() in (".jpg", ".jpeg"))
    with progress("checking images", len(rows), "image") as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := sorted(islice(images, _BATCH)):
            known = list(_known(batch, root, rows, classes, seen, faults))
            found = rows.loc[[path.stem for path in known]].to_dict("records")
            checked = pool.map(lambda path, row: check_jpeg(path.read_bytes(), row), known, found)
            for path, wrong in zip(known, checked, strict=True):
                faults += [Finding(path.relative_to(root).as_posix(), path.stem, what) for what in wrong]
            bar.update(len(batch))
    for image, part, label in zip(rows["image_id"], rows["split"], rows["label"], strict=True):
        if image not in seen:
            name = folder.relative_to(root).as_posix()
            faults.append(Finding(name, image, f"is missing ({part} {label})"))
    return len(seen)


def _known(
    batch: list[Path], root: Path, rows: pd.DataFrame, classes: set[str], seen: dict[str, str],
    faults: list[Finding],
) -> Iterator[Path]:  # fmt: skip
    """Yield the files that are images of the manifest, each once."""
    for path in batch:
        name, image = path.relative_to(root).as_posix(), path.stem
        if image not in rows.index:
            faults.append(Finding(name, None, "is no image of the manifest"))
            continue
        if image in seen:
            faults.append(Finding(name, image, f"stands here twice, also as {seen[image]}"))
            continue
        seen[image] = name
        above = path.parts[-3:-1]
        if len(above) == 2 and above[0] in SPLITS and above[1] in classes:
            due = (str(rows.at[image, "split"]), str(rows.at[image, "label"]))
            if above != due:
                what = f"is of {due[0]} {due[1]}, and stands in {above[0]} {above[1]}"
                faults.append(Finding(name, image, what))
        yield path
