"""The file of a fingerprint: Parquet with a row for each image, and a document in its metadata.

It has what is needed to find an image in another dataset: ids, splits, hashes and descriptors. It has no
label, no age, no sex and no patient, only a number that the images of a patient share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact import Document, DocumentError, Problem
from cxrbuild.artifact.build import DatasetIdentity
from cxrbuild.auditing.descriptors import VERSION
from cxrbuild.auditing.store import COLUMNS, DescriptorTable
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import json_bytes, replacing
from cxrbuild.parsing import parse_json

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Level = Literal["keypoints", "thumbnails"]

_KEY = b"cxrbuild_fingerprint"
_DESCRIPTORS: dict[Level, tuple[str, ...]] = {
    "keypoints": ("keypoints", "dct_coefficients"),
    "thumbnails": ("keypoints", "dct_coefficients", "thumbnail"),
}
# What lists of names are written as; a fingerprint is Parquet.
_LISTS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx")
_TEXTS = ("image_id", "split", "source_sha256", "jpeg_sha256")
# Descriptors of so many images are in memory at once; a row group of the file has as many.
_BATCH = 512
# What the rounding of float16 adds to a length of 1.
_TOLERANCE = 0.01


class FingerprintDocument(Document):
    """What a fingerprint is of, in the metadata of its file.

    Attributes
    ----------
    descriptors
        The version of the descriptors. Those of two versions cannot be compared.
    level
        ``keypoints``, or ``thumbnails``: with a thumbnail of each image.
    dataset
        Which version of which dataset it is of.
    artifact
        ``build``, or the policy of the release: ``public`` or ``private``.
    manifest_sha256
        Hash of the manifest; ``None`` of a build or private release with a source that is not public, as the
        hash also covers ages, paths and patients, and could confirm a guess.
    images
        Number of images.
    described
        Number of images with descriptors. A release has no pixels of the others.
    cxrbuild, libraries
        Versions of the program and of the libraries that decide the descriptors.
    """

    FORMAT: ClassVar[int] = 1
    KIND: ClassVar[str] = "a fingerprint"
    NEXT_STEP: ClassVar[str] = "Ask for a fingerprint that this version of cxrbuild can read"

    format: Literal[1] = 1
    descriptors: int
    level: Level
    dataset: DatasetIdentity
    artifact: Literal["build", "public", "private"]
    manifest_sha256: str | None
    images: int
    described: int
    cxrbuild: str
    libraries: dict[str, str]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A fingerprint.

    Attributes
    ----------
    path
        Its file.
    document
        What it is of.
    rows
        For each image ``image_id``, ``split``, ``group`` (a number that the images of a patient share),
        ``source_sha256``, ``jpeg_sha256``, and whether it is ``described``.
    """

    path: Path
    document: FingerprintDocument
    rows: pd.DataFrame

    def read_descriptors(self, level: Level) -> Iterator[tuple[pd.DataFrame, dict[str, NDArray[Any]]]]:
        """Yield some rows with descriptors at a time, and their descriptors by name.

        Parameters
        ----------
        level
            The level of the descriptors; at most the fingerprint's.

        Raises
        ------
        CxrbuildError
            Values are not those of descriptors.
        """
        import pyarrow.parquet as pq

        start = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_BATCH, columns=list(_DESCRIPTORS[level])):
                rows = self.rows.iloc[start : start + len(batch)]
                start += len(batch)
                rows = rows[rows["described"]]
                values = {name: _parse(name, batch.column(name)) for name in _DESCRIPTORS[level]}
                _require_valid(values, rows, self.path)
                yield rows, values


def write_fingerprint(
    path: Path, document: FingerprintDocument, rows: pd.DataFrame, descriptors: DescriptorTable
) -> None:
    """Write a fingerprint: the same bytes for the same content.

    Parameters
    ----------
    path
        Its file.
    document
        What it is of.
    rows
        As `Fingerprint` has them.
    descriptors
        The descriptors of the rows that are ``described``, in their order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(document.level).with_metadata({_KEY: json_bytes(document.to_dict())})
    records = np.cumsum(rows["described"].to_numpy()) - 1
    with (
        replacing(path) as temporary,
        # Hashes and floating-point numbers hardly repeat.
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=["split"]) as writer,
    ):
        for start in range(0, max(len(rows), 1), _BATCH):
            some = rows.iloc[start : start + _BATCH]
            described = some["described"].to_numpy()
            chosen = records[start : start + _BATCH][described]
            columns: dict[str, Any] = {name: _texts(some[name]) for name in _TEXTS}
            columns["group"] = some["group"].tolist()
            for name in _DESCRIPTORS[document.level]:
                values = iter(descriptors.read(name, chosen))
                columns[name] = [next(values).tobytes() if one else None for one in described]
            arrays = [pa.array(columns[field.name], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=_BATCH)


def read_fingerprint(path: Path) -> Fingerprint:
    """Read a fingerprint. Its descriptors are read when they are needed.

    Raises
    ------
    CxrbuildError
        The file is no fingerprint, or one of another version of the descriptors.
    OSError
        The file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            document = _read_document(schema, path)
            names = [*_TEXTS, "group"]
            table = file.read(columns=[*names, "keypoints"])
    except pa.ArrowException as error:
        raise DocumentError(
            path, FingerprintDocument.KIND, [Problem("", f"not a Parquet file: {error}")],
            "Name a build, a release, or a file that `cxrbuild fingerprint` wrote",
        ) from None  # fmt: skip
    rows = table.select(names).to_pandas()
    rows["described"] = table.column("keypoints").is_valid().to_numpy()
    missing = rows[["image_id", "split", "group", "jpeg_sha256"]].isna().any(axis=None)
    if missing or rows["image_id"].duplicated().any():
        problem = Problem("", "a row without an id of its own, a split, a group or a hash")
        raise DocumentError(path, FingerprintDocument.KIND, [problem], FingerprintDocument.NEXT_STEP)
    return Fingerprint(path, document, rows)


def refuse_list(path: Path) -> None:
    """Refuse a list of names, which somebody could name instead of a fingerprint.

    Raises
    ------
    CxrbuildError
        The file's suffix is that of a list.
    """
    if path.suffix.lower() in _LISTS and path.is_file():
        raise CxrbuildError(
            "a list of names has no images to compare", where=path,
            expected="a build, a release, or a file that `cxrbuild fingerprint` wrote",
            todo="`cxrbuild audit --list train=A.csv --list test=B.csv` finds the names that two lists have, "
            "`cxrbuild audit --list FILE --with DATASET` those of a list and a dataset. To compare "
            "images, build those of the list and name the build",
        )  # fmt: skip


def _texts(column: pd.Series) -> list[str | None]:
    return [None if value != value else value for value in column.tolist()]


def _schema(level: Level) -> pa.Schema:
    import pyarrow as pa

    fields = [pa.field(name, pa.string()) for name in _TEXTS]
    fields.insert(2, pa.field("group", pa.int64()))
    for name in _DESCRIPTORS[level]:
        dtype, shape = COLUMNS[name]
        fields.append(pa.field(name, pa.binary(int(np.dtype(dtype).itemsize * np.prod(shape)))))
    return pa.schema(fields)


def _read_document(schema: pa.Schema, path: Path) -> FingerprintDocument:
    text = (schema.metadata or {}).get(_KEY)
    if text is None:
        raise DocumentError(
            path, FingerprintDocument.KIND, [Problem("", f"no {_KEY.decode()} in its metadata")],
            "Name a build, a release, or a file that `cxrbuild fingerprint` wrote",
        )  # fmt: skip
    try:
        content = parse_json(text)
    except ValueError as error:
        problem = Problem("", f"its metadata is not a JSON document: {error}")
        raise DocumentError(
            path, FingerprintDocument.KIND, [problem], FingerprintDocument.NEXT_STEP
        ) from None
    document = FingerprintDocument.parse(content, path)
    if document.descriptors != VERSION:
        raise CxrbuildError(
            "the fingerprint has descriptors of another version", where=path, expected=VERSION,
            found=f"{document.descriptors}, of cxrbuild {document.cxrbuild}",
            todo="Make both fingerprints with the same version of cxrbuild",
        )  # fmt: skip
    if not schema.equals(expected := _schema(document.level)):
        problems = [
            Problem(field.name, f"expected a column of type {field.type}")
            for field in expected
            if field.name not in schema.names or schema.field(field.name).type != field.type
        ]
        raise DocumentError(
            path, FingerprintDocument.KIND, problems or [Problem("", "other columns")],
            FingerprintDocument.NEXT_STEP,
        )  # fmt: skip
    return document


def _parse(name: str, column: pa.Array) -> NDArray[Any]:
    dtype, shape = COLUMNS[name]
    data = b"".join(column.drop_null().to_pylist())
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(-1, *shape)


def _require_valid(values: dict[str, NDArray[Any]], rows: pd.DataFrame, path: Path) -> None:
    """Require what the comparison relies on: a fingerprint can come from anybody."""
    counts = {len(found) for found in values.values()}
    valid = counts == {len(rows)}
    if valid:
        # A patch without contrast has coefficients of length 0, a missing keypoint has zeros only.
        keypoints = values["keypoints"].astype(np.float32)
        lengths = np.linalg.norm(values["dct_coefficients"].astype(np.float32), axis=-1)
        sized = (keypoints[..., 2:] > 0).all(-1) | (keypoints == 0).all(-1)
        # Infinities and NaN are not in the range.
        valid = bool(((keypoints >= 0) & (keypoints <= 1)).all() and sized.all())
        valid = valid and bool((lengths <= 1 + _TOLERANCE).all())
    if not valid:
        raise CxrbuildError(
            "the fingerprint has values that are not those of descriptors", where=path,
            expected="positions from 0 to 1, and coefficients of length 1",
            found=f"others among the images from {rows['image_id'].iloc[0] if len(rows) else 'none'} on",
            todo="Ask for a file that `cxrbuild fingerprint` wrote",
        )  # fmt: skip
