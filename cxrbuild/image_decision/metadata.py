"""Read the rows of upstream's metadata that name an image, without what may identify a patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import Artifact
from cxrbuild.catalog import Recipe, Source
from cxrbuild.catalog.reader import Inventory
from cxrbuild.errors import CxrbuildError
from cxrbuild.image_decision.declared import declared_source
from cxrbuild.image_decision.result import MetadataRow
from cxrbuild.ingest.header import KEYS, find_dicom, read_headers
from cxrbuild.lockfile import read_lock, source_folder
from cxrbuild.patient_key import key_fingerprint
from cxrbuild.policy import unlisted_sources
from cxrbuild.progress import silent

if TYPE_CHECKING:
    import pandas as pd


def has_header_identifier(rows: pd.DataFrame, name: str, data: Path) -> pd.Series:
    """Return the mask of rows whose file has an accession number or UID in its DICOM header.

    Parameters
    ----------
    rows
        Rows of a ledger.
    name
        The identifier.
    data
        The data folder with the files.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    found = []
    for source, of_source in rows[rows["source_path"].notna()].groupby("source"):
        root = source_folder(data, str(source))
        paths = dict(zip(of_source["source_path"], of_source.index, strict=True))
        headers = read_headers(root, find_dicom(root, _inside(root, paths)), silent)
        found += [
            paths[path]
            for path, elements in headers.elements.items()
            if name in (elements[keyword] for keyword in KEYS)
        ]
    return rows.index.to_series().isin(found)


def _inside(root: Path, paths: Iterable[str]) -> list[str]:
    """Return the paths of files in a folder; the ledger of somebody else's release may name any path."""
    inside = [path for path in paths if (root / path).resolve().is_relative_to(root.resolve())]
    return [path for path in inside if (root / path).is_file()]


class MetadataRows:
    """The rows of metadata of the sources of a build or release; each source is read once.

    Parameters
    ----------
    artifact
        The build or release.
    recipe
        The recipe with its sources; ``None``: those that are shipped.
    data
        The data folder; ``None``: no metadata is read.
    asked
        The rows of the ledger that are asked for: rows of metadata can be found by headers of their files.
    """

    def __init__(
        self, artifact: Artifact, recipe: Recipe | None, data: Path | None, asked: pd.DataFrame
    ) -> None:
        self._artifact, self._recipe, self._data, self._asked = artifact, recipe, data, asked
        self._read: dict[str, _Metadata] = {}

    def of_image(self, source: str, path: str) -> tuple[list[MetadataRow], list[str], str | None]:
        """Return the rows that name a file, the columns that they omit, and why there are none."""
        if source not in self._read:
            self._read[source] = self._read_metadata(source)
        values = self._read[source].values
        if values is None:
            return [], [], self._read[source].note
        rows = values[values.index.get_level_values("path") == path]
        places = rows.index.get_level_values("place")
        found = [
            MetadataRow(str(place), {str(k): v for k, v in row.items() if v and v == v})
            for place, row in zip(places, rows.to_dict("records"), strict=True)
        ]
        if not found:
            return [], [], "no row of the metadata names it"
        return found, list(self._read[source].hidden), None

    def is_public(self, name: str) -> bool:
        """Return whether a source is declared to be public, by the build or release."""
        described = self._artifact.document.declared_sources.get(name)
        return described is not None and described.public

    def _read_metadata(self, name: str) -> _Metadata:
        source = declared_source(name, self._recipe)
        if self._data is None or source is None:
            return _Metadata(
                note="no declaration of the source is named: add --recipe FILE"
                if self._data is not None
                else None
            )
        if name in unlisted_sources(self._artifact.document):
            return _Metadata(note="a public release does not name the files of this source; ask the build")
        reader, root = source.reader, source_folder(self._data, name)
        rows = self._artifact.ledger
        paths = rows.loc[rows["source"] == name, "source_path"]
        files = reader.metadata_files(list(paths))
        if not files:
            return _Metadata(note="the metadata of this source is in the names or headers of its files")
        if not root.is_dir():
            return _Metadata(note=f"{root} is not there")
        recorded, lock = self._artifact.document.sources.get(name), read_lock(self._data).get(name)
        if recorded is not None and (lock is None or lock.tree != recorded.tree):
            return _Metadata(note=f"{root} has another version than the build")
        headers = self._headers(name, root) if reader.reads_images else {}
        if key_fingerprint() is None:
            # An identifier that no header has is hashed, but not looked for here.
            reader = reader.model_copy(update={"patient_id": "keep"})
        inventory = Inventory(root, frozenset(paths), dict.fromkeys(paths), headers)
        try:
            values = reader.read(inventory, sorted(paths), silent)
        except CxrbuildError as error:
            return _Metadata(note=error.what)
        public = source.public and self.is_public(name)
        hidden = _hidden_columns(source, [str(one) for one in values], public=public)
        return _Metadata(values.drop(columns=hidden), hidden)

    def _headers(self, name: str, root: Path) -> dict[str, dict[str, str]]:
        """Return the headers of those images of a source that are asked for."""
        paths = self._asked.loc[self._asked["source"] == name, "source_path"]
        return read_headers(root, _inside(root, paths), silent).elements


@dataclass(frozen=True)
class _Metadata:
    """The metadata of a source that can be shown, the columns that cannot, or why there is none."""

    values: pd.DataFrame | None = None
    hidden: Sequence[str] = ()
    note: str | None = None


def _hidden_columns(source: Source, names: Sequence[str], *, public: bool) -> list[str]:
    """Return the columns of upstream's metadata that may identify a patient.

    The answer is pasted into tickets and mails. So it has no number that the ledger has as a hash, and of a
    source that is not public nothing that the declaration does not use, or uses a part of (``pattern``).
    """
    columns = source.columns
    declared = {field: getattr(columns, field) for field in type(columns).model_fields}
    used = {
        origin
        for column in declared.values()
        if column is not None and column.pattern is None
        for origin in column.origins
    }
    hashed = columns.patient_id is not None and source.reader.patient_id == "hash"
    numbers = columns.patient_id.origins if columns.patient_id is not None and hashed else []
    return [name for name in names if name in numbers or not (public or name in used)]
