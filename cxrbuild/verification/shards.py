"""Check rows of shards, of either format, against the manifest: every cell, and every image's pixels."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.shards import shard_columns
from cxrbuild.verification.context import Context, ShardFiles
from cxrbuild.verification.jpeg import jpeg_problems
from cxrbuild.verification.tables import text_of

if TYPE_CHECKING:
    import pandas as pd

# Images in memory at once.
BATCH = 64
Row = dict[str, Any]


@dataclass
class RowCheck:
    """The rows of one format's shards, checked batch by batch.

    Attributes
    ----------
    embedded
        The manifest's rows whose pixels should be in the shards, by image id.
    classes
        The classes in the order of their numbers.
    order
        For each shard the ids of its images in order, where they are known.
    unreadable
        Shards that could not be read to their end.
    """

    embedded: pd.DataFrame
    classes: list[str]
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _rows: Counter[str] = field(default_factory=Counter)
    _misordered: set[str] = field(default_factory=set)

    def check(self, file: str, split: str | None, rows: list[Row]) -> Iterator[Finding]:
        """Find rows of a shard that are not the manifest's, or have other pixels.

        Parameters
        ----------
        file
            The shard.
        split
            The split that its name has, ``None`` where it has none.
        rows
            Some of its rows: the columns of shards, ``image`` with the JPEG's bytes, ``label`` as a number.
        """
        known: list[tuple[str, Row, Row]] = []
        ids = [row.get("image_id") for row in rows]
        yield from self._order_findings(file, ids)
        present = [image for image in dict.fromkeys(ids) if image in self.embedded.index]
        manifest_rows = self.embedded.loc[present].to_dict("index")
        for image, row in zip(ids, rows, strict=True):
            if image is None or image not in manifest_rows:
                yield Finding("is no row of the manifest with pixels here", file, str(image))
                continue
            if image in self._seen:
                yield Finding("is in the shards twice", file, image)
            self._seen.add(image)
            expected: Row = manifest_rows[image]  # type: ignore[assignment]
            yield from (
                Finding(problem, file, image) for problem in self._cell_problems(split, row, expected)
            )
            known.append((image, row, expected))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            checked = pool.map(lambda one: list(jpeg_problems(_pixels(one[1]), one[2])), known)
            for (image, _, _), problems in zip(known, checked, strict=True):
                yield from (Finding(problem, file, image) for problem in problems)

    def _order_findings(self, file: str, ids: Sequence[str | None]) -> Iterator[Finding]:
        """Find the first row of a shard that is in the place of another."""
        start = self._rows[file]
        self._rows[file] += len(ids)
        expected = self.order.get(file)
        if expected is None or file in self._misordered:
            return
        for i, image in enumerate(ids, start):
            if i >= len(expected) or image != expected[i]:
                self._misordered.add(file)
                wanted = expected[i] if i < len(expected) else "no row"
                yield Finding(f"is in row {i}, expected {wanted}", file, str(image))
                return

    def absent(self, folder: str) -> Iterator[Finding]:
        """Find rows of the manifest that no shard has; those of an unreadable shard are one finding."""
        lost: set[str] = set()
        for file, images in self.order.items():
            if file in self.unreadable or file not in self._rows:
                unseen = set(images) - self._seen
                message = f"is missing or cannot be used; {len(unseen):,} images should be in it"
                yield Finding(message, file)
                lost |= unseen
        for image in self.embedded.index:
            if image not in self._seen and image not in lost:
                yield Finding("is in no shard; by the manifest its pixels are here", folder, str(image))

    def _cell_problems(self, split: str | None, row: Row, expected: Row) -> Iterator[str]:
        if split is not None and expected["split"] != split:
            yield f"is in {split}, the manifest has {expected['split']}"
        number = row.get("label")
        named = isinstance(number, int) and 0 <= number < len(self.classes)
        label = self.classes[number] if named else number  # type: ignore[index]
        if label != expected["label"]:
            yield f"label is {label}, the manifest has {expected['label']}"
        path = row["image"].get("path") if isinstance(row["image"], dict) else None
        if path is not None and path != f"{expected['image_id']}.jpg":
            yield f"image.path is {path}, expected {expected['image_id']}.jpg"
        for column in shard_columns():
            wanted, found = expected.get(column), row.get(column)
            if column != "image_id" and not _equal(wanted, found):
                yield f"{column} is {text_of(found)}, the manifest has {text_of(wanted)}"


def split_of(name: str, pattern: str) -> str | None:
    """Return the split that a shard's name has, ``None`` where it has none.

    Parameters
    ----------
    name
        The file's name.
    pattern
        What follows the split.
    """
    match = re.fullmatch(rf"(?:.*-)?(train|validation|test){pattern}", name)
    return None if match is None else match[1]


def expected_shards(context: Context) -> list[ShardFiles]:
    """Return the shards that the manifest's rows give; none where another version wrote them."""
    if context.document_read.value is None or not context.made_here:
        return []
    return context.shards


def check_presence(context: Context) -> Iterator[Finding]:
    """Find out whether there are shards at all where the manifest has pixels."""
    if not len(context.embedded):
        raise NotApplicable("no image has its pixels here")
    if not any((context.folder / name).is_dir() for name in (names.PARQUET, names.TFRECORD)):
        yield Finding("there are no shards", names.PARQUET)


def _pixels(row: Row) -> bytes:
    image = row["image"]
    return (image["bytes"] if isinstance(image, dict) else None) or b""


def _equal(wanted: Any, found: Any) -> bool:
    import pandas as pd

    if wanted is None or pd.isna(wanted):
        return found is None or found == "" or found != found
    if isinstance(found, float):
        # TFRecord has 32 bits for a number.
        return math.isclose(found, float(wanted), rel_tol=1e-6)
    return bool(wanted == found)
