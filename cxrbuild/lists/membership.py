"""Take membership, class and split of each image from the rows of a published list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import ImageList, Recipe, Source
from cxrbuild.errors import CxrbuildError, DeclarationError, count_of, name_some, suggest
from cxrbuild.lists.declared import resolve_sources
from cxrbuild.lists.matching import ImageIndex
from cxrbuild.lists.reading import places
from cxrbuild.records import conform, image_id

if TYPE_CHECKING:
    import pandas as pd

# The list says of such an image what its source does not.
_WITHOUT_METADATA = ("file_without_row", "unmatched_image")


def add_membership(
    records: pd.DataFrame, rows: pd.DataFrame, declared: ImageList, recipe: Recipe, sources: Sequence[Source]
) -> pd.DataFrame:
    """Fill ``listed``, ``label`` and ``split`` from a list; each of its rows is in one row of the table.

    An image that the list does not name is excluded as ``not_listed``. If the list names a file again, the
    first row counts, and the other is excluded as ``listed_twice``. A file that is not there gets a row, with
    the id that it will have; it is excluded as ``not_in_source`` if the pin's listing shows that its source
    does not hold it. An image without a row of metadata is kept all the same.

    Parameters
    ----------
    records
        A row for each image of the sources.
    rows
        The rows of the list, as `read_lists` returns them.
    declared
        The list.
    recipe, sources
        The recipe, whose ``labels`` map the list's classes, and its sources.

    Returns
    -------
    pandas.DataFrame
        The table with the rows that were added, sorted by ``image_id``.

    Raises
    ------
    CxrbuildError
        The recipe does not map a class of the list, or a row has none; a row is of an unknown source; or a
        name can be several files.
    """
    import pandas as pd

    by_name = {source.name: source for source in sources}
    rows = match_listed(rows, records, declared, sources[0].name if len(sources) == 1 else None)
    rows = rows.assign(label=_labels(rows, declared, recipe), listed=places(rows))
    rows["source_path"] = rows["image"].map(records["source_path"]).astype("str").fillna(rows["expected"])
    key = rows["of_source"] + "/" + rows["source_path"]
    rows["again"] = key.groupby(key).cumcount()
    rows["change"] = _changes(rows, key)

    # The second row of a file that its metadata names twice is a row of the table already.
    name = records["source"] + "/" + records["source_path"]
    record_of = pd.Series(records.index, pd.MultiIndex.from_arrays([name, name.groupby(name).cumcount()]))
    at = record_of.reindex(pd.MultiIndex.from_arrays([key, rows["again"]])).array
    present = rows.assign(record=at)[pd.notna(at)]
    index = pd.Index(present["record"].astype("int64"))
    records = records.copy()
    counted = records.index.isin(index[(present["again"] == 0).to_numpy()])
    records.loc[counted & records["exclusion"].isin(_WITHOUT_METADATA), "exclusion"] = None
    records["exclusion"] = records["exclusion"].mask(
        ~records.index.isin(index) & records["exclusion"].isna(), "not_listed"
    )
    for column in ("listed", "label", "split"):
        records.loc[index, column] = present[column].array
    public = _keeps_patients(present["of_source"], by_name)
    records.loc[index, "patient_id"] = records.loc[index, "patient_id"].fillna(
        pd.Series(present["patient"].where(public).array, index)
    )
    changed = present["change"].notna().to_numpy()
    records.loc[index[changed], "exclusion_detail"] = present.loc[changed, "change"].array
    added = _added(rows[pd.isna(at)], by_name)
    return pd.concat([records, added], ignore_index=True).sort_values("image_id", ignore_index=True)


def match_listed(
    rows: pd.DataFrame,
    records: pd.DataFrame,
    declared: ImageList,
    only: str | None,
    *,
    complete: bool = True,
) -> pd.DataFrame:
    """Fill ``image`` with the index of the record that a row means; ``of_source`` and ``expected`` too.

    Parameters
    ----------
    rows
        The rows of the list, as `read_lists` returns them.
    records
        A row for each image of the sources.
    declared
        The list.
    only
        The source of every row where the list names none.
    complete
        Whether the records have every source that the list can name.

    Raises
    ------
    CxrbuildError
        A row is of an unknown source, or a name can be several files.
    """
    there = frozenset(zip(records["source"], records["source_path"], strict=True))
    rows = resolve_sources(rows, declared, only, there, complete=complete)
    return rows.assign(image=_find(rows, records, declared))


def _labels(rows: pd.DataFrame, declared: ImageList, recipe: Recipe) -> pd.Series:
    """Return the recipe's class of each row."""
    classes = {
        word: label for label, by_list in recipe.labels.items() for word in by_list.get(declared.name, [])
    }
    labels = rows["label"].map(classes).astype("str")
    if len(unclassed := rows[rows["label"].isna()]):
        raise CxrbuildError(
            f"rows of the list {declared.name} have no class", where=unclassed["list"].iloc[0],
            found=name_some(places(unclassed), 5), todo="Declare the column as `columns.label` of the list",
        )  # fmt: skip
    problems = [
        f"{word!r} ({count_of(count, 'row')}) is no class of the recipe; "
        f"{suggest(str(word), classes, 'word')}"
        for word, count in rows.loc[labels.isna(), "label"].value_counts(sort=False).items()
    ]
    problems += [
        f"labels.{classes[word]}.{declared.name}: no row of the list has {word!r}"
        for word in classes
        if word not in set(rows["label"])
    ]
    if problems:
        raise DeclarationError(
            f"{count_of(len(problems), 'problem')} with the classes of the list {declared.name}\n  "
            + "\n  ".join(problems),
            todo=f"Correct the words under `labels` of the recipe {recipe.name}",
        )
    return labels


def _find(rows: pd.DataFrame, records: pd.DataFrame, declared: ImageList) -> pd.Series:
    """Return the index of the record that each row means, null where no source has the file."""
    import pandas as pd

    index = ImageIndex(records)
    found = [
        index.find(path, source, other_suffix=True) if isinstance(path, str) else []
        for path, source in zip(rows["expected"], rows["of_source"], strict=True)
    ]
    problems = [
        f"{place}: {file} can be {name_some(records.loc[images, 'source_path'], 3)}"
        for place, file, images in zip(places(rows), rows["file"], found, strict=True)
        if len(images) > 1
    ]
    if problems:
        raise CxrbuildError(
            f"names in the list {declared.name} that can be several files",
            where=declared.declaration, found=name_some(problems, 5),
            todo="Declare `path` for the source under [[sources]] of the list",
        )  # fmt: skip
    return pd.Series([images[0] if images else None for images in found], index=rows.index, dtype="Int64")


def _changes(rows: pd.DataFrame, key: pd.Series) -> pd.Series:
    """Return for a row that names a file again its class and split, where the first row has others."""
    place = rows["split"] + " " + rows["label"]
    first = place.groupby(key).transform("first")
    return place.where((rows["again"] > 0) & (place != first))


def _added(rows: pd.DataFrame, sources: Mapping[str, Source]) -> pd.DataFrame:
    """Return a row of the table for each row of the list whose file is not there, or is named again."""
    import pandas as pd

    ids, exclusions = [], []
    for name, path, again in zip(rows["of_source"], rows["source_path"], rows["again"], strict=True):
        source = sources[name]
        unheld = source.listing is not None and path not in source.listing
        ids.append(image_id(name, path, named=source.public) + (f"-row{again + 1}" if again else ""))
        exclusions.append("listed_twice" if again else "not_in_source" if unheld else None)
    return conform(
        rows.assign(
            image_id=ids,
            source=rows["of_source"],
            patient_id=rows["patient"].where(_keeps_patients(rows["of_source"], sources)),
            license=rows["of_source"].map({name: one.license for name, one in sources.items()}),
            exclusion=pd.array(exclusions, "str"),
            exclusion_detail=rows["change"],
        )
    )


def _keeps_patients(source: pd.Series, sources: Mapping[str, Source]) -> pd.Series:
    """Return the mask of the rows whose source does not hash its patient numbers."""
    return source.map({name: one.reader.patient_id == "keep" for name, one in sources.items()}).astype("bool")
