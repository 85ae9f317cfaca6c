"""Look at a CSV file, a folder of images or a folder of DICOM files, and propose a source and a recipe."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from cxrbuild.catalog.license import UNKNOWN
from cxrbuild.errors import CxrbuildError, count_of, instead_of, name_some
from cxrbuild.ingest.header import KEYWORDS
from cxrbuild.progress import Progress, silent
from cxrbuild.proposing.columns import (
    ColumnProposal,
    add_origin,
    propose_column,
    propose_license,
    propose_patient,
)
from cxrbuild.proposing.files import Found, describe_files, find_files
from cxrbuild.proposing.findings import FindingProposal, propose_finding
from cxrbuild.proposing.folders import propose_folders
from cxrbuild.proposing.keys import Key
from cxrbuild.proposing.layout import Layout, image_patterns
from cxrbuild.proposing.proposal import NONE, Answers, Certainty, Decision, Proposal
from cxrbuild.proposing.recipe import add_recipe
from cxrbuild.proposing.render import SourceText, reader_of_key
from cxrbuild.proposing.views import note_other_views

if TYPE_CHECKING:
    import pandas as pd

# What a person can answer for, in the order of the questions.
ASKED = (
    "images", "finding", "patient_id", "view_position", "patient_sex", "patient_age", "modality", "license",
    "attribution", "upstream_split",
)  # fmt: skip
_COLUMNS = ("modality", "view_position", "patient_sex", "patient_age", "attribution", "upstream_split")
_HEADER_COLUMNS = {
    "patient_sex": "PatientSex", "patient_age": "PatientAge", "modality": "Modality",
    "view_position": "ViewPosition",
}  # fmt: skip


# Names of folders that many collections of images have.
_GENERAL_NAMES = frozenset({
    "archive", "cxr", "cxrs", "data", "dataset", "datasets", "dicom", "dicoms", "download", "downloads",
    "export", "exports", "extracted", "files", "folder", "images", "img", "imgs", "in", "input", "inputs",
    "new", "out", "output", "png", "pngs", "raw", "temp", "test", "tmp", "xray", "xrays",
})  # fmt: skip


def propose(
    path: Path,
    *,
    images: Path | None = None,
    answers: Answers | None = None,
    today: date | None = None,
    progress: Progress = silent,
) -> Proposal:
    """Propose a source and a recipe for some files. Nothing is written.

    Parameters
    ----------
    path
        A CSV file, or a folder of images with or without CSV files.
    images
        The folder of the images, where it is not the one of the CSV file.
    answers
        What a person decided.
    today
        The day of the recipe's version; default the day of the clock.
    progress
        Shows how many DICOM headers are read.

    Returns
    -------
    Proposal
        Both files as text, with what was decided and why. A trial plan has run on them.

    Raises
    ------
    CxrbuildError
        There is no image, the table cannot be read, no row names an image, or an answer names no column.
    OSError
        A file cannot be read.
    """
    answers = answers or Answers()
    if unknown := sorted(set(answers.columns) - set(ASKED)):
        raise CxrbuildError(
            f"no column is called {unknown[0]!r}",
            where="--column",
            expected=f"one of {', '.join(ASKED)}",
            todo="Write --column OURS=THEIRS, with one of these as OURS",
        )
    found = find_files(path, images, answers.columns.get("images"), progress)
    name = answers.name or _slug(found.layout.label)
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise CxrbuildError(
            "not a name for a source", where="--name", found=name,
            expected="a letter, then letters, digits and hyphens, in lower case",
            todo="Name the source with --name",
        )  # fmt: skip
    day = (today or date.today()).isoformat()
    proposed = (
        _from_table(found, name, answers, progress)
        if found.table
        else _from_names(found, name, answers, progress)
    )
    if answers.name is None and name in _GENERAL_NAMES:
        proposed = replace(proposed, decisions=[_on_name(name), *proposed.decisions])
    return add_recipe(found, proposed, day, progress)


def _on_name(name: str) -> Decision:
    """Return the decision to name a source after a folder whose name says nothing of the images."""
    return Decision(
        "name", name, "not sure",
        "the folder's name, which does not describe the images: choose one with --name now, as another name "
        "later renames all images and draws another split",
    )  # fmt: skip


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return slug if slug[:1].isalpha() else f"source-{slug}".rstrip("-")


def _from_table(found: Found, name: str, answers: Answers, progress: Progress) -> SourceText:
    """Return a source whose metadata is a table."""
    table, key, layout = found.table, found.key, found.layout
    assert table is not None
    assert key is not None
    values, asked = table.values, answers.columns
    for column, answer in asked.items():
        if answer != NONE and answer not in table.header and answer not in KEYWORDS:
            raise CxrbuildError(
                f"no column is called {answer!r}", where=table.path,
                expected=instead_of(answer, table.header, "column"),
                todo=f"Correct --column {column}=...",
            )  # fmt: skip
    of_table = _by_image(values, key)
    values = _with_headers(of_table, key, layout, progress)
    finding = propose_finding(table.values, asked.get("finding"), found.others)
    columns = {"patient_id": propose_patient(table.values, key.column, asked.get("patient_id"))}
    if columns["patient_id"].decision.choice is None and "PatientID" in values:
        columns["patient_id"] = propose_patient(values[["PatientID"]], None, None)
    columns |= {column: _propose_column(column, of_table, values, asked) for column in _COLUMNS}
    if "view_position" not in asked:
        columns["view_position"] = note_other_views(columns["view_position"], values)
    columns["license"] = propose_license(table.values, asked.get("license"))
    if not columns["license"].origins and answers.license != UNKNOWN:
        given = Decision("license", f"--license {answers.license}", "sure", "given")
        columns["license"] = replace(columns["license"], decision=given)
    relative = table.path.relative_to(layout.root).as_posix()
    rows = count_of(len(table.values), "row")
    reader = {
        "kind": "csv", "file": relative, "encoding": table.encoding,
        **({"delimiter": table.delimiter} if table.delimiter != "," else {}),
        "header": list(table.header), **reader_of_key(key),
        **image_patterns(sorted(key.images), layout.others),
        "patient_id": "keep" if answers.public else "hash",
    }  # fmt: skip
    decisions = [
        *describe_files(found),
        finding.decision,
        *(column.decision for column in _ordered(columns)),
    ]
    return SourceText(
        name=name, title=f"Chest radiographs of {answers.name or layout.label}",
        origin=f"{relative} ({rows}) and {count_of(len(layout.images), 'image')}",
        public=answers.public, license=answers.license, reader=reader,
        finding=finding if finding.decision.choice else None,
        columns={one.decision.subject: one for one in _ordered(columns) if one.origins}, decisions=decisions,
        words=[word for one in _ordered(columns) for word in one.words],
        unused=_unused(table.header, key, finding, columns.values()),
        counted="row" if len(of_table) == len(table.values) else "image", ignored=layout.skipped,
    )  # fmt: skip


def _propose_column(
    column: str, of_table: pd.DataFrame, with_headers: pd.DataFrame, asked: Mapping[str, str]
) -> ColumnProposal:
    """Propose where a column comes from: the table first, as headers fill what it leaves unknown anyway."""
    keyword = _HEADER_COLUMNS.get(column)
    answer = asked.get(column)
    found = propose_column(column, of_table, answer if answer in of_table else None)
    if answer is not None and (answer == NONE or answer not in of_table):
        return propose_column(column, with_headers, answer)
    if keyword is None or keyword not in with_headers or keyword in of_table:
        return found if found.origins else propose_column(column, with_headers, None)
    if not found.origins:
        return _of_header(column, with_headers, keyword)
    unknown = of_table[list(found.origins)].isin(found.blank).all(axis=1)
    if _declares(_of_header(column, with_headers[unknown], keyword)):
        # Words of the header that mean nothing by themselves need a declaration too.
        return add_origin(found, with_headers, keyword)
    return found


def _of_header(column: str, values: pd.DataFrame, keyword: str) -> ColumnProposal:
    """Propose to take an element of the headers; its words without a meaning are declared as not known."""
    found = propose_column(column, values[[keyword]], None)
    if found.origins or not (values[keyword] != "").any():
        return found
    return propose_column(column, values[[keyword]], keyword)


def _unused(
    header: Sequence[str], key: Key, finding: FindingProposal, columns: Iterable[ColumnProposal]
) -> tuple[str, ...]:
    """Return the columns of a table that nothing is taken from."""
    used = {name for _, name, _, _ in Formatter().parse(key.template) if name}
    used |= {*finding.columns, finding.origin or ""}
    used |= {origin for one in columns for origin in one.origins}
    return tuple(name for name in header if name and name not in used)


def _by_image(values: pd.DataFrame, key: Key) -> pd.DataFrame:
    """Repeat each row for every image that it finds, as the reader does; a row without an image stays."""
    times = [max(1, len(paths)) for paths in key.paths]
    return (
        values
        if max(times, default=1) == 1
        else values.loc[values.index.repeat(times)].reset_index(drop=True)
    )


def _with_headers(values: pd.DataFrame, key: Key, layout: Layout, progress: Progress) -> pd.DataFrame:
    """Add the elements of the rows' DICOM headers that the table has no column for."""
    import pandas as pd

    if not layout.dicom:
        return values
    elements = layout.headers(progress).elements
    rows = [elements.get(path, {}) for paths in key.paths for path in (paths or ("",))]
    added = pd.DataFrame(rows, columns=list(KEYWORDS), dtype="str").fillna("")
    added = added.loc[:, [name for name in added if name not in values and (added[name] != "").any()]]
    return pd.concat([values, added.set_axis(values.index)], axis=1)


def _ordered(columns: Mapping[str, ColumnProposal]) -> Iterator[ColumnProposal]:
    return (columns[name] for name in ASKED if name in columns)


def _from_names(found: Found, name: str, answers: Answers, progress: Progress) -> SourceText:
    """Return a source whose metadata are names of folders and files, and DICOM headers."""
    layout = found.layout
    if wrong := [f"{column}={answer}" for column, answer in answers.columns.items() if answer != NONE]:
        raise CxrbuildError(
            "--column names columns of a table, and no table names these images", where=layout.root,
            found=name_some(wrong), todo="Name the CSV file, or omit --column",
        )  # fmt: skip
    is_dicom = len(layout.dicom) == len(layout.images)
    paths = layout.images
    proposed = propose_folders(paths, with_patient=not is_dicom)
    refused = {column for column, answer in answers.columns.items() if answer == NONE}
    decisions = [Decision("table", None, "not found", "no CSV file names these images", found.others)]
    if layout.tables or layout.compressed:
        tables = name_some([*layout.tables, *layout.compressed], 3)
        reason = found.lost_zeros or f"{tables}: no row names an image by its path or name"
        decisions = [Decision("table", None, "not sure", reason)]
    headers = _header_columns(layout, progress) if layout.dicom else {}
    of_folders = {column: one for column, one in proposed.decisions.items() if column not in refused}
    if "finding" not in of_folders:
        reason = "no level of folders looks like findings"
        of_folders["finding"] = Decision("finding", None, "not sure", reason)
    decisions += [of_folders[column] for column in ASKED if column in of_folders]
    decisions += [
        column.decision for column in _ordered(headers) if column.decision.subject not in of_folders
    ]
    groups = {"split": "upstream_split", "patient": "patient_id", "finding": "finding"}
    folder_columns = {groups[group]: group for group in proposed.groups if groups[group] not in refused}
    reader: dict[str, object] = {"kind": "dicom" if is_dicom else "folders"}
    if folder_columns or not is_dicom:
        reader["pattern"] = proposed.pattern or "^"
    reader |= {**image_patterns(paths, layout.others), "patient_id": "keep" if answers.public else "hash"}
    return SourceText(
        name=name, title=f"Chest radiographs of {answers.name or layout.label}",
        origin=f"{count_of(len(paths), 'image')}" + (" with DICOM headers" if is_dicom else ""),
        public=answers.public, license=answers.license, reader=reader, finding=None,
        columns={
            name: one for name, one in headers.items() if name not in folder_columns and _declares(one)
        },
        decisions=decisions, folder_columns=folder_columns,
        words=[word for one in _ordered(headers) for word in one.words], counted="image",
        ignored=layout.skipped,
    )  # fmt: skip


def _declares(column: ColumnProposal) -> bool:
    """Return whether a header's column needs a declaration: one whose values DICOM defines needs none."""
    strange = set(column.blank) - {""}
    return bool(column.origins) and (
        bool(strange) or any(word != meaning for word, meaning in column.map.items())
    )


def _header_columns(layout: Layout, progress: Progress) -> dict[str, ColumnProposal]:
    """Return the columns that DICOM headers fill."""
    import pandas as pd

    rows = list(layout.headers(progress).elements.values())
    elements = pd.DataFrame(rows, columns=list(KEYWORDS), dtype="str").fillna("")
    columns = {
        column: _of_header(column, elements, keyword)
        for column, keyword in _HEADER_COLUMNS.items()
        if (elements[keyword] != "").any()
    }
    absent = ColumnProposal(Decision("view_position", None, "not sure", "no header has a ViewPosition"))
    view = note_other_views(columns.get("view_position", absent), elements)
    if view is not absent:
        columns["view_position"] = view
    known = elements["PatientID"][elements["PatientID"] != ""]
    if known.empty:
        reason = "no header has a PatientID: images of one patient can come into two splits"
        patient = ColumnProposal(Decision("patient_id", None, "not sure", reason))
    else:
        reason = f"{count_of(known.nunique(), 'patient')} have {count_of(len(known), 'image')}"
        certainty: Certainty = "sure" if len(known) == len(elements) and known.nunique() > 1 else "not sure"
        if len(known) < len(elements):
            reason += f"; {count_of(len(elements) - len(known), 'image')} have no PatientID"
        patient = ColumnProposal(Decision("patient_id", "PatientID", certainty, reason))
    return {"patient_id": patient} | columns
