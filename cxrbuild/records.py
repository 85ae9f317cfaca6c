"""The table that all stages share: a row for every upstream image, columns declared here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

SPLITS = ("train", "validation", "test")
Kind = Literal["text", "integer", "number", "boolean"]


@dataclass(frozen=True)
class TableColumn:
    """A column of the table: its name, its kind, the stage that fills it and its meaning.

    An optional column is in a file only where a row of the file has a value in it.
    """

    name: str
    kind: Kind
    stage: str
    description: str
    optional: bool = False


COLUMNS = (
    TableColumn(
        "image_id", "text", "ingest", "stable, unique, safe as a file name; made from source and path alone"
    ),
    TableColumn("source", "text", "ingest", "the source's name"),
    TableColumn(
        "source_path",
        "text",
        "ingest",
        "the image's path from the source's root; the image id in a public release of a source that is not",
    ),
    TableColumn(
        "source_blob", "text", "ingest", "git blob hash of the upstream file; null if the source has none"
    ),
    TableColumn(
        "patient_id",
        "text",
        "ingest",
        "the patient within the source; a keyed hash unless the source's declaration keeps the number",
    ),
    TableColumn(
        "patient_id_text", "text", "ingest", "the source's value for the patient; null if it is hashed"
    ),
    TableColumn("finding", "text", "ingest", "the source's finding; null if it gives none"),
    TableColumn("modality", "text", "ingest", "DICOM's CR, DX, CT; XR if the source states only X-ray"),
    TableColumn("modality_text", "text", "ingest", "the source's value for the modality"),
    TableColumn(
        "view_position",
        "text",
        "ingest",
        "DICOM's AP, PA, LL, RL, ...; LATERAL if the side is not stated; null: unknown",
    ),
    TableColumn("view_position_text", "text", "ingest", "the source's value for the view"),
    TableColumn("patient_sex", "text", "ingest", "DICOM's M, F, O"),
    TableColumn(
        "patient_age",
        "number",
        "ingest",
        "age in years; null if the source gives none, or a text that its declaration lists as blank",
    ),
    TableColumn("patient_age_text", "text", "ingest", "the source's value for the age"),
    TableColumn("license", "text", "ingest", "SPDX identifier or LicenseRef; `unknown` if none is stated"),
    TableColumn("license_text", "text", "ingest", "the source's value for the licence"),
    TableColumn("attribution", "text", "ingest", "whom or what to credit: DOI, address or author"),
    TableColumn("upstream_split", "text", "ingest", "the source's value for the split"),
    TableColumn("review", "text", "rules", "the mark that a reviewer saw; null: no review"),
    TableColumn(
        "marks_finding",
        "boolean",
        "rules",
        "whether a mark is drawn at a finding; null: nobody has seen the image",
    ),
    TableColumn(
        "listed",
        "text",
        "rules",
        "the row of the published list, `file:line`; null: no list names the image",
    ),
    TableColumn("label", "text", "rules", "the recipe's class"),
    TableColumn("group", "text", "split", "the patient with all images linked to it: always in one split"),
    TableColumn("split", "text", "split", "train, validation or test"),
    TableColumn(
        "previous_split",
        "text",
        "split",
        "the image's split in the former version that `split.previous` of the recipe names; null: it was not "
        "in it. The column is there only if the recipe names one",
        optional=True,
    ),
    TableColumn(
        "fold", "integer", "split", "the fold for cross-validation, from 0; null: the recipe has none"
    ),
    TableColumn(
        "exclusion", "text", "all", "null if the image is kept, else the name of the rule that excluded it"
    ),
    TableColumn(
        "exclusion_detail",
        "text",
        "all",
        "details of the exclusion: the mark and note of a reviewer, the kept duplicate, "
        "the day and reason of a withdrawal, what a damaged file holds",
    ),
    TableColumn(
        "exclusion_note",
        "text",
        "all",
        "what a person wrote in `exclusion_detail`: the note of a reviewer or a link, the reason of a "
        "withdrawal; null: nothing",
    ),
    TableColumn("source_sha256", "text", "convert", "SHA-256 of the upstream file"),
    TableColumn(
        "source_format",
        "text",
        "convert",
        "format, bits per sample and colour of the upstream file, by content: `PNG 8-bit RGB`",
    ),
    TableColumn("jpeg_path", "text", "convert", "the JPEG's path within the build"),
    TableColumn("jpeg_sha256", "text", "convert", "SHA-256 of the JPEG"),
    TableColumn("jpeg_bytes", "integer", "convert", "size of the JPEG in bytes"),
    TableColumn("width", "integer", "convert", "width of the JPEG in pixels"),
    TableColumn("height", "integer", "convert", "height of the JPEG in pixels"),
    TableColumn(
        "conversion",
        "text",
        "convert",
        "`copied` if the JPEG has the bytes of the upstream file, else `encoded`",
    ),
    TableColumn(
        "withheld", "text", "release", "why a release holds no pixels of the image; null: it holds them"
    ),
)

_DTYPES: dict[str, Any] = {"text": "str", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
_DTYPE_OF = {column.name: _DTYPES[column.kind] for column in COLUMNS}
_DIGITS = 10
# Rows of a row group: what a reader takes at once of a table with a million rows.
_ROW_GROUP = 1 << 17


def image_id(source: str, path: str, *, named: bool = True) -> str:
    """Return the id of an image: its source, its stem made safe, and ten digits of the path's SHA-256.

    The stem is omitted unless ``named``. The id is lower case and ASCII: unique on file systems that fold
    case.
    """
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0].lower() if named else ""
    safe = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40].strip("-")
    digits = hashlib.sha256(path.encode()).hexdigest()[:_DIGITS]
    return "_".join(part for part in (source, safe, digits) if part)


def possible_ids(source: str, path: str) -> tuple[str, str]:
    """Return both ids that an image can have: in a public source, and in one that is not.

    A public release has the second one for its path, too. So images of two versions are found by these ids.
    """
    return image_id(source, path), image_id(source, path, named=False)


def is_image_id(name: str) -> bool:
    """Return whether a name has the form that `image_id` gives."""
    return re.fullmatch(rf"[a-z0-9_-]+_[0-9a-f]{{{_DIGITS}}}", name, re.ASCII) is not None


def conform(records: pd.DataFrame) -> pd.DataFrame:
    """Return the table with all declared columns, in order and with their dtypes."""
    # Column by column: reindex and astype of a frame take ten times as long with missing columns.
    return _table({name: records[name] for name in _DTYPE_OF if name in records}, records.index, _DTYPE_OF)


def _table(found: Mapping[str, pd.Series], rows: pd.Index, names: Iterable[str]) -> pd.DataFrame:
    """Return a table of declared columns with their dtypes: those found, the others null."""
    import pandas as pd

    # Made once: for a small table, the nulls of each column would take longer than all else.
    nulls = {dtype: pd.Series(index=rows, dtype=dtype) for dtype in _DTYPES.values()}
    columns = {}
    for name in names:
        dtype = _DTYPE_OF[name]
        column = found.get(name, nulls[dtype])
        columns[name] = column if column.dtype == dtype else column.astype(dtype)
    return pd.DataFrame(columns, index=rows)


def differs(a: pd.Series, b: pd.Series) -> pd.Series:
    """Return where two columns differ: a mask without nulls; two nulls are equal.

    Parameters
    ----------
    a, b
        Columns of one index, of any dtype.
    """
    equal = (a == b).fillna(value=False).astype("bool")
    return ~(equal | (a.isna() & b.isna()))


def schema() -> pa.Schema:
    """Return the Arrow schema of ``ledger.parquet`` and ``manifest.parquet`` with all columns."""
    import pyarrow as pa

    types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return pa.schema([pa.field(column.name, types[column.kind]) for column in COLUMNS])


def written_columns(records: pd.DataFrame) -> list[str]:
    """Return the columns that a file of some rows has: all but the optional ones without a value."""
    return [
        one.name
        for one in COLUMNS
        if not one.optional or (one.name in records and records[one.name].notna().any())
    ]


def write_records(path: Path, records: pd.DataFrame, columns: Sequence[str] | None = None) -> None:
    """Write the table, or some of its columns, as Parquet: the same bytes for the same content.

    An optional column without a value is omitted.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = schema()
    arrow = pa.schema([arrow.field(name) for name in columns or written_columns(records)])
    with replacing(path) as temporary, pq.ParquetWriter(temporary, arrow, compression="zstd") as writer:
        for start in range(0, max(len(records), 1), _ROW_GROUP):
            rows = records.iloc[start : start + _ROW_GROUP]
            table = pa.Table.from_pandas(rows[arrow.names], schema=arrow, preserve_index=False)
            # The schema metadata of pandas holds library versions, which would change the bytes.
            writer.write_table(table.replace_schema_metadata(None), row_group_size=_ROW_GROUP)


def read_records(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table that ``write_records`` wrote; missing columns become null.

    Parameters
    ----------
    path
        The file.
    columns
        The columns to read; default all.

    Raises
    ------
    CxrbuildError
        There is no such file, or it is not such a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not `read_table`, which waits forever for threads that cannot be started.
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow.names
            if "image_id" not in found:
                raise CxrbuildError(
                    "not a table of images",
                    where=path,
                    expected="a column image_id",
                    found=", ".join(found),
                    todo="Name manifest.parquet or ledger.parquet of a build or release",
                )
            return read_columns(file, columns)
    except FileNotFoundError:
        raise CxrbuildError(
            "no such table", where=path,
            todo="Name a table of a build or release, or build it with `cxrbuild curate`",
        ) from None  # fmt: skip
    except pa.ArrowInvalid as error:
        raise CxrbuildError(
            "not a Parquet file", where=path, found=error,
            todo="Build the dataset again with `cxrbuild curate`, or name another table",
        ) from None  # fmt: skip


def read_columns(file: pq.ParquetFile, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read the declared columns of a file, or some of them, with their dtypes; missing columns are null.

    One column is read at a time: the table as the file has it would take as much memory again.
    """
    import pandas as pd

    names = list(_DTYPE_OF) if columns is None else columns
    available = set(file.schema_arrow.names)
    found = {
        name: file.read(columns=[name]).column(0).to_pandas().astype(_DTYPE_OF[name])
        for name in names
        if name in available
    }
    return _table(found, pd.RangeIndex(file.metadata.num_rows), names)
