"""Check a folder of JPEGs against a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxrbuild.artifact import names
from cxrbuild.checks import Finding
from cxrbuild.executors import default_workers, run_batches
from cxrbuild.files import files_under
from cxrbuild.records import SPLITS
from cxrbuild.verification.context import Context
from cxrbuild.verification.jpeg import COLUMNS, jpeg_problems
from cxrbuild.verification.pool import image_executor

IMAGES = "checking images"

_BATCH = 64
# The path of an image, and what its row has of the JPEG.
_Image = tuple[str, dict[str, Any]]


def check_images(context: Context) -> Iterator[Finding]:
    """Find JPEGs that are missing, changed, damaged, misplaced or not of the manifest.

    An image is known by its file's name, the image_id. Where the folders above it name a split and a class,
    as ``curate`` lays them out, these must be the manifest's.
    """
    root, rows = context.folder, context.rows
    folder = _image_folder(context)
    classes = set(context.classes)
    seen: dict[str, str] = {}
    known: list[str] = []
    for path in sorted(find_jpegs(folder)):
        name, image = path.relative_to(root).as_posix(), path.stem
        if image not in rows.index:
            yield Finding("is no image of the manifest", name)
        elif image in seen:
            yield Finding(f"occurs twice, also as {seen[image]}", name, image)
        else:
            seen[image] = name
            known.append(image)
            here = path.parts[-3:-1]
            expected = (str(rows.at[image, "split"]), str(rows.at[image, "label"]))
            if len(here) == 2 and here[0] in SPLITS and here[1] in classes and here != expected:
                yield Finding(f"is of {' '.join(expected)}, but in {' '.join(here)}", name, image)
    columns = [name for name in COLUMNS if name in rows]
    # The workers of a cluster have another current folder.
    at = str(root.absolute())
    described = rows.loc[known, columns].to_dict("records")
    images: list[_Image] = [
        (f"{at}/{seen[image]}", {str(name): value for name, value in row.items()})
        for image, row in zip(known, described, strict=True)
    ]
    batches = (tuple(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH))
    problems: dict[str, list[str]] = {}
    with context.progress(IMAGES, len(rows), "image") as bar, image_executor(context) as pool:
        for batch, found in run_batches(pool, _check_batch, batches, ahead=2 * default_workers()):
            problems.update(zip((path for path, _ in batch), found, strict=True))
            bar.update(len(batch))
    for image in known:
        for problem in problems[f"{at}/{seen[image]}"]:
            yield Finding(problem, seen[image], image)
    for image, split, label in zip(rows["image_id"], rows["split"], rows["label"], strict=True):
        if image not in seen:
            yield Finding(f"is missing ({split} {label})", folder.relative_to(root).as_posix(), image)


def _check_batch(batch: tuple[_Image, ...]) -> list[list[str]]:
    return [list(jpeg_problems(Path(path).read_bytes(), row)) for path, row in batch]


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
