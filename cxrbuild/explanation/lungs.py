"""The lung masks of a dataset's images, as their sources declare them, and the region that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxrbuild.catalog import Source
from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.explanation.regions import Mask
from cxrbuild.fetch_advice import advise_fetch
from cxrbuild.fetching.record import read_record
from cxrbuild.files import git_blob_of
from cxrbuild.lockfile import source_folder
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

LUNGS = "reading lung masks"

# The region has at least this share of the pixels of the masks.
_COVERAGE = 0.9
# A mask is white in the lungs; JPEG would blur the two values.
_WHITE = 128
_WITHOUT = "Add --without-masks to explain the model without them"


@dataclass(frozen=True)
class MaskFile:
    """The lung mask of an image.

    Attributes
    ----------
    path
        The file.
    source
        The name of its source.
    name
        Its path within the source.
    width, height
        The size of the image in pixels.
    """

    path: Path
    source: str
    name: str
    width: int
    height: int

    @property
    def place(self) -> str:
        """The path below the folder of all sources; two sources can have one path."""
        return f"{self.source}/{self.name}"

    def read(self, side: int) -> Mask | str:
        """Return the mask, resized to a square as the network's input is, or why it cannot be used.

        A mask may have fewer or more pixels than its image, in the same proportion.

        Returns
        -------
        numpy.ndarray or str
            Shape (side, side).
        """
        from PIL.Image import Resampling

        try:
            image = read_image(self.path)
        except NotConvertible as error:
            return f"{error.reason}: {error.found}"
        width, height = image.size
        # Rounding a side changes the product by less than the other side.
        if abs(width * self.height - height * self.width) >= max(width, height, self.width, self.height):
            return f"{width} x {height} pixels, its image has {self.width} x {self.height}"
        white = image.point([255 * (value >= _WHITE) for value in range(256)])
        mask = np.asarray(white.resize((side, side), Resampling.BOX)) >= _WHITE
        return np.asarray(mask) if mask.any() else "nothing in it is white"


@dataclass(frozen=True)
class Region:
    """The pixels that are lungs in most masks: the same for every image, so it shows no class.

    Attributes
    ----------
    mask
        Shape (side, side).
    coverage
        Share of the pixels of a mask that are in the region, as the mean over the masks.
    masks
        Number of masks.
    """

    mask: Mask
    coverage: float
    masks: int


@dataclass(frozen=True)
class Masks:
    """The lung masks of a dataset's images.

    Attributes
    ----------
    files
        By ``image_id``.
    unusable
        Masks that are missing or cannot be used: the reason by ``SOURCE/PATH``.
    """

    files: dict[str, MaskFile]
    unusable: dict[str, str]


def find_masks(records: pd.DataFrame, sources: Sequence[Source], data: Path) -> Masks:
    """Find the lung masks of a dataset's images.

    Parameters
    ----------
    records
        The manifest.
    sources
        The sources of the recipe.
    data
        The folder that ``fetch`` filled.

    Returns
    -------
    Masks
        Without files if no source declares any. Missing are masks that a source's listing names.

    Raises
    ------
    CxrbuildError
        A source declares masks, but has none for the images of the dataset, or has masks that changed since
        they were fetched.
    """
    files: dict[str, MaskFile] = {}
    missing: dict[str, str] = {}
    for source in sources:
        rows = records[records["source"] == source.name]
        if source.lung_masks is not None and len(rows):
            found = _find_of_source(rows, source, data)
            files |= found.files
            missing |= found.unusable
    return Masks(files, missing)


def require_usable(masks: Masks, data: Path) -> None:
    """Check that every mask can be used.

    Raises
    ------
    CxrbuildError
        Masks cannot; some are named with the reason.
    """
    if masks.unusable:
        problems = [f"{path} ({reason})" for path, reason in masks.unusable.items()]
        raise CxrbuildError(
            f"{count_of(len(problems), 'lung mask')} cannot be used",
            where=source_folder(data, ""),
            expected="a mask for each image alone, of its size or of the same proportion, with white lungs",
            found=name_some(problems, 3),
            todo="Correct them or the source's `lung_masks`, or continue without them: --allow-missing",
        )


def make_region(masks: Masks, side: int, progress: Progress) -> tuple[Region | None, Masks]:
    """Read the masks, and return the region of the lungs.

    Its pixels are those that are lungs in the most masks, down to the frequency at which the region has 90 %
    of the pixels of a mask, as the mean over the masks.

    Parameters
    ----------
    masks
        The masks by image.
    side
        Side of the network's input in pixels.
    progress
        Advanced for each mask.

    Returns
    -------
    region
        ``None`` if there is no mask.
    masks
        The masks that can be used, and those that cannot.
    """
    if not masks.files:
        return None, masks
    times = np.zeros((side, side), np.int64)
    parts = np.zeros((side, side))
    usable: dict[str, MaskFile] = {}
    unusable = dict(masks.unusable)
    with progress(LUNGS, len(masks.files), "mask") as bar:
        for name in sorted(masks.files):
            file = masks.files[name]
            mask = file.read(side)
            if isinstance(mask, str):
                unusable[file.place] = mask
            else:
                usable[name] = file
                times += mask
                parts += mask / mask.sum()
            bar.update()
    found = Masks(usable, unusable)
    if not usable:
        return None, found
    parts /= len(usable)
    least = max(number for number in range(1, len(usable) + 1) if _covers(times >= number, parts))
    region = times >= least
    return Region(region, float(parts[region].sum()), len(usable)), found


def _covers(region: Mask, parts: NDArray[np.float64]) -> bool:
    return bool(parts[region].sum() >= _COVERAGE - 1e-9)


def _find_of_source(rows: pd.DataFrame, source: Source, data: Path) -> Masks:
    assert source.lung_masks is not None
    root = source_folder(data, source.name)
    wanted: dict[str, list[tuple[str, str, int, int]]] = {}
    columns = ["image_id", "source_path", "width", "height"]
    for image_id, image, width, height in rows[columns].itertuples(index=False, name=None):
        wanted.setdefault(source.lung_masks.path_for(image), []).append(
            (image_id, image, int(width), int(height))
        )
    there = {path for path in wanted if (root / path).is_file()}
    missing = sorted(set(wanted).intersection(source.listing or ()) - there)
    if not there:
        raise CxrbuildError(
            f"the source {source.name} declares lung masks, but no image of the dataset has one",
            where=root,
            expected=f"files such as {min(wanted)}",
            found="a folder without them" if root.is_dir() else "no such folder",
            todo=f"Name the folder of the fetched sources with --data, or correct `lung_masks`. {_WITHOUT}",
        )
    _require_unchanged(there, root, source, data)
    unusable = {f"{source.name}/{path}": "no such file" for path in missing}
    files: dict[str, MaskFile] = {}
    for path in sorted(there):
        (image_id, _, width, height), *others = wanted[path]
        if others:
            # It shows the lungs of one of them; on the others it would hide something else.
            images = name_some([image for _, image, _, _ in wanted[path]], 3)
            unusable[f"{source.name}/{path}"] = f"{count_of(len(wanted[path]), 'image')} have it: {images}"
        else:
            files[image_id] = MaskFile(root / path, source.name, path, width, height)
    return Masks(files, unusable)


def _require_unchanged(paths: set[str], root: Path, source: Source, data: Path) -> None:
    """Check that masks are those that ``fetch`` put there; a folder without its record is used as it is."""
    record = read_record(root)
    changed = [
        path
        for path in sorted(paths)
        if record and (path not in record or git_blob_of(root / path) != record[path].blob)
    ]
    if changed:
        raise CxrbuildError(
            f"{count_of(len(changed), 'lung mask')} changed since the source was fetched",
            where=root,
            expected="the masks that fetch put there",
            found=name_some(changed, 3),
            todo=advise_fetch(data, [source]),
        )
