"""Find the image of a source that a row of a list means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import takewhile
from typing import TYPE_CHECKING

from cxrbuild.paths import canonical_path
from cxrbuild.records import image_id

if TYPE_CHECKING:
    import pandas as pd

# A list of which this share is in no source can be of other sources.
_MOST = 0.5


class ImageIndex:
    """The images of sources, to find those that a name in a list can mean.

    Parameters
    ----------
    records
        A row for each image of the sources, with ``image_id``, ``source`` and ``source_path``.

    Attributes
    ----------
    source_of
        By the index of an image its source.
    """

    def __init__(self, records: pd.DataFrame) -> None:
        first = records[~records["image_id"].str.contains(r"-row\d+$")]
        self.source_of: dict[int, str] = dict(zip(first.index, first["source"], strict=True))
        self._path_of: dict[int, str] = {}
        self._by_path: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}
        self._by_stem: dict[str, list[int]] = {}
        self._by_id: dict[str, list[int]] = {
            image: [number] for number, image in zip(first.index, first["image_id"], strict=True)
        }
        for number, path in zip(first.index, first["source_path"], strict=True):
            folded = self._path_of[number] = _fold(path)
            name = folded.rsplit("/", 1)[-1]
            self._by_path.setdefault(folded, []).append(number)
            self._by_name.setdefault(name, []).append(number)
            self._by_stem.setdefault(_stem(name), []).append(number)

    def find_hidden(self, path: str, sources: Collection[str]) -> list[int]:
        """Return the images of sources whose paths a release hides: their ids follow from the whole path."""
        ids = [image_id(source, path, named=False) for source in sources]
        return [number for one in ids for number in self._by_id.get(one, ())]

    def find(self, path: str, source: str | None = None, *, other_suffix: bool) -> list[int]:
        """Return the images that a path can mean: with its folder, else by name, else with another suffix.

        Of several files of one name those are meant that have the most folders before it in common with the
        path: a list can have its own folders above those of the source.

        Case, and blanks in a name, say nothing: ``COVID-19(1).png`` is also ``COVID-19 (1).png``. A file that
        is named after an image id is that image, as in a build or release.

        Parameters
        ----------
        path
            The path, or the name alone.
        source
            The source to look in; default all.
        other_suffix
            Whether a file with another suffix can be meant.
        """
        folded = _fold(path)
        name = folded.rsplit("/", 1)[-1]
        tried = [self._by_path.get(folded), self._by_name.get(name)]
        if other_suffix:
            tried.append(self._by_stem.get(_stem(name)))
        tried.append(self._by_id.get(_stem(name)))
        for found in tried:
            of_source = [one for one in found or () if source is None or self.source_of[one] == source]
            if len(of_source) > 1:
                return self._nearest(folded, of_source)
            if of_source:
                return of_source
        return []

    def _nearest(self, path: str, images: list[int]) -> list[int]:
        """Return those of images of one name that have the most folders before it in common with a path."""
        common = [_common_folders(path, self._path_of[image]) for image in images]
        return [image for image, n in zip(images, common, strict=True) if n == max(common)]


def match_images(rows: pd.DataFrame, records: pd.DataFrame, *, complete: bool) -> pd.DataFrame:
    """Fill ``image`` with the index of the record that a row means, and ``of_source`` with its source.

    ``absent`` is whether a row's source, or every source where it names none, is known not to have the file.
    A list names a file without its folder, often with another suffix. A source of a list is taken for the
    one of ours with its name, else for the one that has the most of its files: ``fig1`` for ``figure1``. Rows
    of a source that has no file here have neither. A row without a source can be of a source that is not
    here, unless the sources here have most of the files of its list.

    Parameters
    ----------
    rows
        The rows of lists, as ``read_lists`` returns them.
    records
        A row for each image of the sources, with ``source`` and ``source_path``.
    complete
        Whether the records have all sources that an image can be of.
    """
    import pandas as pd

    index = ImageIndex(records)
    found, ours = _find_all(rows, index)
    named = rows["source"].fillna("")
    image = [images[0] if len(images) == 1 else None for images in found]
    of_source = [
        ours.get(source) or (index.source_of[one] if one is not None else None)
        for source, one in zip(named, image, strict=True)
    ]
    without = pd.Series([not images for images in found], rows.index)
    unnamed = named == ""
    known = without[unnamed].groupby(rows["list"]).transform("mean") < _MOST
    absent = without & (named.isin(set(ours)) | known.reindex(rows.index, fill_value=False) & complete)
    return rows.assign(
        image=pd.array(image, "Int64"), of_source=pd.array(of_source, "str"), absent=absent.astype("bool")
    )


def match_members(rows: pd.DataFrame, members: pd.DataFrame, hidden: Collection[str] = ()) -> pd.DataFrame:
    """Fill ``member`` with the index of the image of a dataset that a row means.

    ``candidates`` has the ids of the images that an ambiguous name can mean: of those with this name, or,
    where the row has no source, with another suffix. ``unknown`` is whether the row can be of a source whose
    file names a release hides, and ``other_source`` whether no file of the row's source is in the dataset.

    Parameters
    ----------
    rows
        The rows of lists, as ``read_lists`` returns them. Where ``expected`` is filled, a declaration says
        that path, and ``source`` is a source of ours.
    members
        A row for each image of the dataset, excluded ones included where they are known.
    hidden
        The sources whose file names the dataset hides.
    """
    import pandas as pd

    index = ImageIndex(members)
    found, ours = _find_all(rows, index)
    named = rows["source"].fillna("")
    if hidden:
        # Without its source, a path can be that of a file of a hidden source and of another one.
        found = [
            list(dict.fromkeys([*images, *index.find_hidden(path, _sources(hidden, ours.get(source)))]))
            for path, source, images in zip(rows["path"], named, found, strict=True)
        ]
    ids = members["image_id"]
    similar = [
        images or (index.find(path, other_suffix=True) if not source else [])
        for path, source, images in zip(rows["path"], named, found, strict=True)
    ]
    unknown = [
        not can and (ours.get(source) in hidden if source in ours else bool(hidden))
        for source, can in zip(named, similar, strict=True)
    ]
    candidates = [
        ", ".join(ids[can]) if len(images) != 1 and can else None
        for images, can in zip(found, similar, strict=True)
    ]
    return rows.assign(
        member=pd.array([images[0] if len(images) == 1 else None for images in found], "Int64"),
        candidates=pd.array(candidates, "str"),
        unknown=pd.array(unknown, "bool"),
        other_source=(named != "") & ~named.isin(set(ours)),
    )


def _find_all(rows: pd.DataFrame, index: ImageIndex) -> tuple[list[list[int]], dict[str, str]]:
    """Return the images that each row can mean, and for each source that the list names the one of ours."""
    named = rows["source"].fillna("")
    paths = rows["expected"].fillna(rows["path"]) if "expected" in rows else rows["path"]
    declared = set(named[rows["expected"].notna()]) if "expected" in rows else set()
    # Without its source, a name with another suffix may be another file.
    found = [index.find(path, other_suffix=bool(source)) for path, source in zip(paths, named, strict=True)]
    counts: dict[str, Counter[str]] = {}
    for source, images in zip(named, found, strict=True):
        counts.setdefault(source, Counter()).update({index.source_of[image] for image in images})
    ours = {source: count.most_common(1)[0][0] for source, count in counts.items() if count and source}
    # Another source can have files of the same names, above all where those of this one are hidden.
    called = {one.casefold(): one for one in index.source_of.values()}
    ours |= {source: called[source.casefold()] for source in counts if source.casefold() in called}
    # A declaration names our sources: one that is not here has no file here.
    ours |= {source: source for source in declared if source}
    found = [
        index.find(path, ours[source], other_suffix=True) if source in ours else images
        for path, source, images in zip(paths, named, found, strict=True)
    ]
    there = set(index.source_of.values())
    return found, {source: one for source, one in ours.items() if one in there}


def _sources(hidden: Collection[str], only: str | None) -> Collection[str]:
    """Return the hidden sources that a row can be of, where its source is known or not."""
    return hidden if only is None else [only] if only in hidden else []


def _fold(path: str) -> str:
    return "".join(canonical_path(path).casefold().split())


def _common_folders(a: str, b: str) -> int:
    """Return how many folders before their names two paths have in common."""
    pairs = zip(reversed(a.split("/")[:-1]), reversed(b.split("/")[:-1]), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]
