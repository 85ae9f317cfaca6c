"""Find the image of a source that a row of a list means."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def match_images(rows: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Fill ``image`` with the index of the record that a row means, and ``of_source`` with its source.

    A list names a file without its folder, often with another suffix. A source of a list is taken for the
    one of ours that has the most of its files: ``fig1`` for ``figure1``. Rows of a source that has no file
    here have neither.

    Parameters
    ----------
    rows
        The rows of lists, as ``read_lists`` returns them.
    records
        A row for each image of the sources, with ``source`` and ``source_path``.
    """
    import pandas as pd

    by_name: dict[str, list[int]] = {}
    by_stem: dict[str, list[int]] = {}
    first = records[~records["image_id"].str.endswith("-row2")]
    for number, path in zip(first.index, first["source_path"], strict=True):
        name = _name(path)
        by_name.setdefault(name, []).append(number)
        by_stem.setdefault(_stem(name), []).append(number)
    named = rows["source"].fillna("")
    # Without its source, a name with another suffix may be another file.
    found = [
        by_name.get(_name(path)) or (by_stem.get(_stem(_name(path)), []) if source else [])
        for path, source in zip(rows["path"], named, strict=True)
    ]
    source_of = records["source"].to_dict()
    counts: dict[str, Counter[str]] = {}
    for source, images in zip(named, found, strict=True):
        counts.setdefault(source, Counter()).update({source_of[image] for image in images})
    ours = {source: count.most_common(1)[0][0] for source, count in counts.items() if count and source}

    def choose(source: str, images: list[int]) -> int | None:
        fitting = [image for image in images if source not in ours or source_of[image] == ours[source]]
        return fitting[0] if len(fitting) == 1 else None

    image = [choose(source, images) for source, images in zip(named, found, strict=True)]
    of_source = [
        ours.get(source) or (source_of[one] if one is not None else None)
        for source, one in zip(named, image, strict=True)
    ]
    return rows.assign(image=pd.array(image, "Int64"), of_source=pd.array(of_source, "str"))


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].casefold()


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]
