"""The former version of a dataset, whose split a recipe holds: find it, and read its splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import Artifact, Build, kind_of, names, open_artifact, read_sums
from cxrbuild.artifact.published import published_manifest, published_names
from cxrbuild.catalog.csv_table import read_csv
from cxrbuild.errors import (
    CxrbuildError,
    DeclarationError,
    count_of,
    is_of_memory,
    name_some,
    nearest,
    suggest,
)
from cxrbuild.files import sha256_of
from cxrbuild.records import SPLITS, possible_ids
from cxrbuild.shell import join

if TYPE_CHECKING:
    import pandas as pd

_KEY = "split.previous"
_EXPECTED = (
    "the folder of a build, a release or `plan --out`, a published manifest, or a Parquet or CSV file with "
    "image_id (or source and path) and split"
)
# Columns of a file, by the names that they can have.
_COLUMNS = {
    "image_id": ("image_id",),
    "source": ("source",),
    "path": ("source_path", "path"),
    "split": ("split",),
    "group": ("group",),
    "label": ("label",),
    "exclusion": ("exclusion",),
}


@dataclass(frozen=True)
class PreviousVersion:
    """The former version of a dataset.

    Attributes
    ----------
    place
        What was named: the folder of a build, release or plan, or the file.
    name
        What a build records of it: name and version of the dataset, the name of the file, or that of a plan's
        folder and its ledger. It does not depend on where these are.
    sha256
        The hash of the file that was read: the ledger of a folder, a published manifest, or the file itself.
    rows
        A row for each of its images: ``image_id`` and ``image`` (``source/path``), of which one can be null,
        ``split``, and ``group`` and ``label``, null where the file has none.
    """

    place: Path
    name: str
    sha256: str
    rows: pd.DataFrame

    def splits_of(self, records: pd.DataFrame) -> pd.Series:
        """Return the split that each image had, null where it was not in the former version."""
        return self._of(records, "split")

    def groups_of(self, records: pd.DataFrame) -> pd.Series:
        """Return the group that each image had, null where that is not known."""
        return self._of(records, "group")

    def labels_of(self, records: pd.DataFrame) -> pd.Series:
        """Return the class that each image had, null where that is not known."""
        return self._of(records, "label")

    def _of(self, records: pd.DataFrame, column: str) -> pd.Series:
        import pandas as pd

        by_id, by_path = (
            dict(zip(known[key], known[column], strict=True))
            for key in ("image_id", "image")
            for known in [self.rows[self.rows[key].notna()]]
        )
        found = records["image_id"].map(by_id).astype("str")
        # The id of an image changes if its source becomes public or ceases to be; its path does not.
        image = records["source"] + "/" + records["source_path"]
        found = found.fillna(image.map(by_path).astype("str"))
        # A file can have ids alone, and a public release has no paths of a source that is not public.
        lacking = records.loc[found.isna(), ["source", "source_path"]]
        others = [
            next((by_id[one] for one in possible_ids(source, path) if one in by_id), None)
            for source, path in lacking.itertuples(index=False)
        ]
        return found.fillna(pd.Series(others, index=lacking.index, dtype="str"))

    def require_common(self, records: pd.DataFrame) -> None:
        """Refuse a former version of which the dataset keeps no image.

        Parameters
        ----------
        records
            The table, with ``previous_split`` and exclusions.

        Raises
        ------
        DeclarationError
            No kept image was in it.
        """
        kept = records[records["exclusion"].isna()]
        if kept.empty or kept["previous_split"].notna().any():
            return
        known = self.rows["image_id"].fillna(self.rows["image"])
        raise DeclarationError(
            "this version has no image in common with the dataset", where=self.place,
            expected=f"image ids such as {name_some(kept['image_id'].head(2))}",
            found=f"{count_of(len(known), 'image')}, such as {name_some(known.head(2))}",
            todo=f"Name a former version of the same dataset under `{_KEY}`. An image id follows from the "
            "name of its source and its path: both must be as they were",
        )  # fmt: skip


def read_previous(name: str, base: Path) -> PreviousVersion:
    """Read the former version that a recipe names.

    Parameters
    ----------
    name
        A folder, a file, or a published manifest such as ``covid19-cxr/1.0.0``.
    base
        The folder that a relative path starts from.

    Raises
    ------
    DeclarationError
        There is no such version, or its rows do not say which image is in which split.
    """
    place, file, recorded = _find(name, base)
    return PreviousVersion(place, recorded, sha256_of(file), _read(file))


def require_other_folder(out: Path, place: Path | None) -> None:
    """Refuse to write over the former version: the split cannot be held, or built again, without it.

    Parameters
    ----------
    out
        The folder to write a build or plan to.
    place
        The former version that the recipe names; ``None`` where it names none.

    Raises
    ------
    CxrbuildError
        One of them is in the other, or both are one.
    """
    if place is None or not place.exists():
        return
    here, there = out.resolve(), place.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise CxrbuildError(
            f"the former version that `{_KEY}` names would be overwritten", where=out,
            expected="a folder apart from it", found=place, todo="Name another folder with --out",
        )  # fmt: skip


def _find(name: str, base: Path) -> tuple[Path, Path, str]:
    """Return what is named, the file to read, and what a build records of it."""
    place = base / name
    if place.is_file():
        return place, place, place.name
    if place.is_dir():
        if kind_of(place) is not None:
            artifact = open_artifact(place)
            require_unchanged_ledger(artifact)
            return place, place / names.LEDGER, f"{artifact.name}/{artifact.version}"
        ledger = place / names.LEDGER
        if ledger.is_file() and not (place / names.STATE).exists():
            return place, ledger, f"{place.resolve().name}/{ledger.name}"
        raise DeclarationError(
            f"`{_KEY}` names a folder without a finished build, release or plan", where=place,
            expected=_EXPECTED, todo="Finish the build with `cxrbuild curate`, or name another folder",
        )  # fmt: skip
    if place.exists():
        raise DeclarationError(
            f"`{_KEY}` names neither a file nor a folder", where=place, expected=_EXPECTED,
            found="a device, pipe or socket", todo="Name a file or folder",
        )  # fmt: skip
    if name in published_names():
        return published_manifest(name), published_manifest(name), name
    siblings = place.parent if place.parent.is_dir() else base
    near = nearest(place.name, [other.name for other in siblings.iterdir()])
    near = near and str(Path(name).with_name(near))
    near = near or nearest(name, published_names())
    raise DeclarationError(
        f"`{_KEY}` names a version that is not there", where=place, expected=_EXPECTED,
        todo=f"Write {near}, the nearest name" if near
        else f"Correct the path, which starts from the folder of the recipe. Published manifests: "
        f"{name_some(published_names())}",
    )  # fmt: skip


def require_unchanged_ledger(artifact: Artifact) -> None:
    """Refuse a build or release whose ledger is not the one that it was finished with.

    Raises
    ------
    DeclarationError
        The ledger is missing, or has another hash than ``build.json`` or ``SHA256SUMS``.
    """
    ledger = artifact.folder / names.LEDGER
    if isinstance(artifact, Build):
        files = artifact.document.files
        recorded, expected = names.BUILD, files[names.LEDGER].sha256 if names.LEDGER in files else None
    else:
        recorded, expected = names.SUMS, read_sums(artifact.folder).get(names.LEDGER)
    found = sha256_of(ledger) if ledger.is_file() else "no such file"
    if found != expected:
        verify = join(["cxrbuild", "verify", artifact.folder])
        raise DeclarationError(
            f"`{_KEY}` names a version whose ledger is not the one that it was finished with", where=ledger,
            expected=f"SHA-256 {expected}, as {recorded} has it", found=found,
            todo=f"Run `{verify}`, which lists what changed; then restore the version, or name another",
        )  # fmt: skip


def _read(file: Path) -> pd.DataFrame:
    """Return the rows of a former version's images.

    A row with an exclusion and without a split was not in it: a ledger has every upstream image.
    """
    table = _read_table(file)
    missing = [name for name in ("image_id", "split") if name not in table]
    if {"source", "path"} <= set(table) and "split" in table:
        missing = []
    if missing:
        raise DeclarationError(
            f"`{_KEY}` names a table without columns that it needs", where=file,
            expected="image_id (or source and path) and split",
            found=name_some(table) or "none of these columns",
            todo="Name these columns so in its header, or name another file",
        )  # fmt: skip
    for name in _COLUMNS:
        if name not in table:
            table[name] = None
        table[name] = table[name].astype("str").replace("", None)
    image = table["source"] + "/" + table["path"]
    table = table.assign(image=image)[table["exclusion"].isna() | table["split"].notna()]
    _check_rows(file, table)
    columns = ["image_id", "image", "split", "group", "label"]
    return table[columns].drop_duplicates(["image_id", "image"]).reset_index(drop=True)


def _check_rows(file: Path, table: pd.DataFrame) -> None:
    """Refuse rows that do not say which image is in which split; all problems are reported at once."""
    named = table["image_id"].fillna(table["image"])
    problems = []
    if table.empty:
        problems.append("no row of an image")
    if nameless := int(named.isna().sum()):
        problems.append(f"{count_of(nameless, 'row')} without an image_id, or source and path")
    blank = named[table["split"].isna()].dropna()
    if len(blank):
        problems.append(f"{count_of(len(blank), 'row')} without a split: {name_some(blank, 3)}")
    words = table["split"].dropna()
    unknown = words[~words.isin(SPLITS)].value_counts()
    problems += [
        f"{count_of(int(n), 'row')} with the split {word!r}; {suggest(str(word), SPLITS, 'split')}"
        for word, n in unknown.items()
    ]
    several = table.assign(named=named).dropna(subset=["named", "split"]).groupby("named")["split"].nunique()
    if len(twice := several.index[several > 1]):
        problems.append(f"{count_of(len(twice), 'image')} with two splits: {name_some(twice, 3)}")
    if problems:
        raise DeclarationError(
            f"`{_KEY}` names a table that does not give each image a split\n  " + "\n  ".join(problems),
            where=file,
            todo=f"Correct these rows, or name another version. A split is one of {', '.join(SPLITS)}",
        )


def _read_table(file: Path) -> pd.DataFrame:
    """Return the columns of a Parquet or CSV file that are known, by our names."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    with file.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1" or file.suffix == ".parquet"
    if not is_parquet:
        return _read_csv_table(file)
    try:
        with pq.ParquetFile(file) as parquet:
            found = _named(parquet.schema_arrow.names)
            columns = {name: parquet.read(columns=[theirs]).column(0) for name, theirs in found.items()}
            return pd.DataFrame({name: column.to_pandas() for name, column in columns.items()})
    except pa.ArrowException as error:
        if is_of_memory(error):
            raise
        raise DeclarationError(
            f"`{_KEY}` names a damaged Parquet file", where=file, found=str(error).partition("\n")[0],
            todo="Copy or make it again, or name another version",
        ) from None  # fmt: skip


def _read_csv_table(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        header, rows = read_csv(file)
    except DeclarationError as error:
        error.what = f"`{_KEY}` names a file that cannot be read: {error.what}"
        error.expected = error.expected or _EXPECTED
        error.todo = f"{error.todo}. Or name another file"
        raise
    problems = [
        f"line {line}: {count_of(len(row), 'cell')}, not {len(header)}"
        for line, row in rows
        if len(row) != len(header)
    ]
    problems += [f"line {line}: holds a NUL byte" for line, row in rows if "\0" in "".join(row)]
    if problems and _named(header):  # else it is another file than a table of splits
        raise DeclarationError(
            f"`{_KEY}` names a CSV file with rows that cannot be read", where=file,
            found=name_some(problems, 5), todo="Correct these rows; a cell with a comma is within quotes",
        )  # fmt: skip
    places = {name: header.index(theirs) for name, theirs in _named(header).items()}
    return pd.DataFrame(
        {name: [row[place] for _, row in rows] for name, place in places.items()}, dtype="str"
    )


def _named(columns: list[str]) -> dict[str, str]:
    """Return for each of our columns the one of a file that has it."""
    return {
        ours: next(one for one in theirs if one in columns)
        for ours, theirs in _COLUMNS.items()
        if any(one in columns for one in theirs)
    }
