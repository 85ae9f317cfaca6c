"""Check a folder of JPEGs against a manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.checks import Finding
from cxrbuild.files import files_under
from cxrbuild.records import SPLITS
from cxrbuild.verification.context import Context
from cxrbuild.verification.jpeg import jpeg_problems

_BATCH = 64


def check_images(context: Context) -> Iterator[Finding]:
    """Find JPEGs that are missing, changed, damaged, misplaced or not of the manifest.

    An image is known by its file's name, the image_id. Where the folders above it name a split and a class,
    as ``curate`` lays them out, these must be the manifest's.
    """
    root, rows = context.folder, context.rows
    folder = _image_folder(context)
    classes = set(context.classes)
    seen: dict[str, str] = {}
    paths = find_jpegs(folder)
    with (
        context.progress("checking images", len(rows), "image") as bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        while batch := sorted(islice(paths, _BATCH)):
            known = []
            for path in batch:
                name, image = path.relative_to(root).as_posix(), path.stem
                if image not in rows.index:
                    yield Finding("is no image of the manifest", name)
                elif image in seen:
                    yield Finding(f"occurs twice, also as {seen[image]}", name, image)
                else:
                    seen[image] = name
                    known.append(path)
                    here = path.parts[-3:-1]
                    expected = (str(rows.at[image, "split"]), str(rows.at[image, "label"]))
                    if len(here) == 2 and here[0] in SPLITS and here[1] in classes and here != expected:
                        yield Finding(f"is of {' '.join(expected)}, but in {' '.join(here)}", name, image)
            described = rows.loc[[path.stem for path in known]].to_dict("records")
            checked = pool.map(
                lambda path, row: list(jpeg_problems(path.read_bytes(), row)), known, described
            )
            for path, problems in zip(known, checked, strict=True):
                for problem in problems:
                    yield Finding(problem, path.relative_to(root).as_posix(), path.stem)
            bar.update(len(batch))
    for image, split, label in zip(rows["image_id"], rows["split"], rows["label"], strict=True):
        if image not in seen:
            yield Finding(f"is missing ({split} {label})", folder.relative_to(root).as_posix(), image)


def count_images(context: Context) -> int:
    """Return how many images of the manifest a folder has."""
    known = context.rows.index
    return len({path.stem for path in find_jpegs(_image_folder(context)) if path.stem in known})


def find_jpegs(folder: Path) -> Iterator[Path]:
    """Yield the JPEG files below a folder, which may not exist."""
    for entry in files_under(folder) if folder.is_dir() else ():
        path = Path(entry.path)
        if path.suffix.lower() in (".jpg", ".jpeg"):
            yield path


def _image_folder(context: Context) -> Path:
    return context.folder / names.IMAGES if context.kind == "build" else context.folder
