"""Metadata in CSV files that others wrote: encodings, columns' names, paths in another spelling."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from cxrbuild.catalog import read_source
from cxrbuild.catalog.template import parse_template
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.paths import PathIndex, canonical_path

SOURCE = """
name = "mine"
title = "Mine"

[reader]
kind = "csv"
file = "meta.csv"
images = ["images/*.png"]
patient_id = "keep"
{reader}

[columns.finding]
from = {finding!r}
"""
ROWS = "file,finding\na.png,sick\nb.png,well\n"


def write(
    folder: Path,
    text: str | bytes,
    files: tuple[str, ...] = ("images/a.png", "images/b.png"),
    reader: str = 'path = "images/{file}"',
    finding: str = "finding",
):
    """Write a source with one CSV file and images, and return it with its folder."""
    (folder / "s.toml").write_text(SOURCE.format(reader=reader, finding=finding))
    root = folder / "root"
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"image")
    (root / "meta.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_source("s.toml", folder), root


def findings(records: pd.DataFrame) -> dict[str, str]:
    kept = records[records["exclusion"].isna()]
    return dict(zip(kept["source_path"], kept["finding"], strict=True))


BOTH = {"images/a.png": "sick", "images/b.png": "well"}


@pytest.mark.parametrize("encoding", [None, "utf-8", "UTF-8", "utf8", "utf_8", "U8", "utf-8-sig"])
def test_a_byte_order_mark_is_removed_whatever_utf_8_is_called(tmp_path: Path, encoding: str | None) -> None:
    reader = 'path = "images/{file}"' + (f'\nencoding = "{encoding}"' if encoding else "")
    source, root = write(tmp_path, b"\xef\xbb\xbf" + ROWS.encode(), reader=reader)
    assert findings(ingest(source, take_inventory(source, root))) == BOTH


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_the_declared_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    text = "\ufeff" + ROWS if encoding == "utf-16-le" else ROWS
    source, root = write(
        tmp_path, text.encode(encoding), reader=f'path = "images/{{file}}"\nencoding = "{encoding}"'
    )
    assert findings(ingest(source, take_inventory(source, root))) == BOTH


@pytest.mark.parametrize("encoding", ["utf-9", "base64", "", "rot13", "undefined"])
def test_an_unknown_encoding_is_a_problem_of_the_declaration(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(DeclarationError, match=r"reader\.encoding: .* is no text encoding"):
        write(tmp_path, ROWS, reader=f'path = "images/{{file}}"\nencoding = "{encoding}"')


@pytest.mark.parametrize(
    "column", ["file.name", "Image[name]", "dcm:file", "file!", "Image Index", "0", " file", "größe", "a-b"]
)
def test_a_column_can_have_any_name(tmp_path: Path, column: str) -> None:
    source, root = write(tmp_path, ROWS.replace("file", column), reader=f'path = "images/{{{column}}}"')
    assert findings(ingest(source, take_inventory(source, root))) == BOTH


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("images/{file", "a brace without counterpart in 'images/{file', at character 8"),
        ("images/file}", "a brace without counterpart in 'images/file}', at character 12"),
        ("images/{}", "names no column"),
        ("images/{{file}", "a brace without counterpart"),
    ],
)
def test_an_unbalanced_template_is_a_problem_of_the_declaration(
    tmp_path: Path, template: str, message: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        write(tmp_path, ROWS, reader=f'path = "{template}"')
    assert f"reader.path: {message}" in str(caught.value) or message in str(caught.value)


def test_doubled_braces_are_braces() -> None:
    assert parse_template("{{{a}}}/{b}").fill({"a": "1", "b": "{2}"}) == "{1}/{2}"


def test_columns_are_quoted_in_messages(tmp_path: Path) -> None:
    source, root = write(tmp_path, ROWS.replace(",", ", "))
    with pytest.raises(CxrbuildError, match=r'Found: "file", " finding"'):
        ingest(*_with_inventory(write(tmp_path, ROWS.replace(",", ", "), reader='path = "{name}"')))
    with pytest.raises(
        CxrbuildError, match=r'columns.finding comes from "finding"; there is only "file", " f'
    ):
        ingest(source, take_inventory(source, root))


def _with_inventory(pair):
    return pair[0], take_inventory(*pair)


@pytest.mark.parametrize(
    "spelling",
    ["images\\a.png", "./images/a.png", "images//a.png", "/images/a.png", " images/a.png ", "images/ a.png",
     "IMAGES/A.PNG", ".\\images\\.\\a.png", "images/a.PNG"],
)  # fmt: skip
def test_another_spelling_of_a_path_finds_its_file(tmp_path: Path, spelling: str) -> None:
    source, root = write(tmp_path, ROWS.replace("a.png", spelling), reader='path = "{file}"')
    records = ingest(source, take_inventory(source, root))
    assert records.set_index("source_path").loc["images/a.png", "finding"] == "sick"


def test_a_decomposed_name_finds_its_file(tmp_path: Path) -> None:
    name = "images/Müller.png"
    source, root = write(
        tmp_path, f"file,finding\n{unicodedata.normalize('NFC', name)},sick\n",
        files=(unicodedata.normalize("NFD", name),), reader='path = "{file}"',
    )  # fmt: skip
    assert findings(ingest(source, take_inventory(source, root))) == {
        unicodedata.normalize("NFD", name): "sick"
    }


def test_names_that_differ_in_case_alone_are_shown_where_case_matters(tmp_path: Path) -> None:
    source, root = write(
        tmp_path, ROWS.replace("a.png", "A.PNG"), reader='path = "images/{file}"\nmatch_case = true'
    )
    with pytest.raises(CxrbuildError) as caught:
        ingest(source, take_inventory(source, root))
    assert "meta.csv, line 2: 'images/A.PNG' and the file 'images/a.png' differ in case alone" in str(
        caught.value
    )


def test_a_name_that_can_be_two_files_is_refused(tmp_path: Path) -> None:
    files = ("images/a.png", "images/A.png")
    source, root = write(tmp_path, "file,finding\nA.PNG,sick\n", files=files)
    if len(list((root / "images").iterdir())) < 2:
        pytest.skip("the file system ignores case")
    with pytest.raises(CxrbuildError, match=r"'images/A\.PNG' can be \"images/A\.png\", \"images/a\.png\""):
        ingest(source, take_inventory(source, root))


def test_an_exact_name_wins_over_other_spellings() -> None:
    index = PathIndex(["a/b.png", "a/B.png", "a\\b.png"])
    assert index.find("a/B.png") == ["a/B.png"]
    assert index.find("a\\b.png") == ["a\\b.png"]
    assert index.find("A/B.PNG") == ["a/B.png", "a/b.png", "a\\b.png"]
    assert index.find("A/B.PNG", match_case=True) == []
    assert index.find("c.png") == []
    assert canonical_path("../a.png") == "../a.png"
    assert index.describe("c.png") == "c.png"


def test_a_file_under_two_spellings_is_listed_twice(tmp_path: Path) -> None:
    source, root = write(tmp_path, ROWS + "A.png,sick\n")
    records = ingest(source, take_inventory(source, root))
    assert records["exclusion"].fillna("").tolist() == ["", "", "listed_twice"]


@pytest.mark.parametrize(
    ("match_case", "unmatched"), [(False, ["images/5.jpg"]), (True, ["images/2.PNG", "images/5.jpg"])]
)
def test_images_that_no_pattern_matches_are_excluded(
    tmp_path: Path, match_case: bool, unmatched: list[str]
) -> None:
    files = ("images/1.png", "images/2.PNG", "images/5.jpg", "masks/1.png", "notes.txt", "images/._1.png")
    reader = (
        f'path = "images/{{file}}"\nignore = ["MASKS/*", "masks/*"]\nmatch_case = {str(match_case).lower()}'
    )
    source, root = write(tmp_path, "file,finding\n1.png,sick\n", files=files, reader=reader)
    records = ingest(source, take_inventory(source, root)).set_index("source_path")
    assert sorted(records.index[records["exclusion"] == "unmatched_image"]) == unmatched
    assert "masks/1.png" not in records.index
    assert "notes.txt" not in records.index
    assert pd.isna(records.loc["images/1.png", "exclusion"])


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"II*\0",
        b"\0" * 128 + b"DICM",
        b"RIFF\0\0\0\0WEBP",
    ],
)
def test_an_image_without_suffix_is_known_by_its_content(tmp_path: Path, content: bytes) -> None:
    source, root = write(tmp_path, ROWS)
    (root / "IM0001").write_bytes(content + b"more")
    (root / "BMP is no word").write_bytes(b"BM is how this text begins")
    records = ingest(source, take_inventory(source, root)).set_index("source_path")
    assert records["exclusion"].dropna().to_dict() == {"IM0001": "unmatched_image"}


def test_a_long_note_is_read(tmp_path: Path) -> None:
    source, root = write(tmp_path, f"file,finding,note\na.png,sick,{'x' * 200_000}\nb.png,well,\n")
    assert findings(ingest(source, take_inventory(source, root))) == BOTH


def test_a_column_called_like_ours_is_no_decision(tmp_path: Path) -> None:
    source, root = write(tmp_path, "file,finding,exclusion\na.png,sick,lateral\nb.png,well,\n")
    assert findings(ingest(source, take_inventory(source, root))) == BOTH


def test_composed_and_decomposed_text_is_the_same(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "größe,Datei\nJürgen,a.png\n").encode()
    composed = unicodedata.normalize("NFC", "größe,Datei\nJürgen,a.png\n").encode()
    for number, text in enumerate((decomposed, composed)):
        folder = tmp_path / str(number)
        folder.mkdir()
        source, root = write(
            folder, text, files=("images/a.png",), reader='path = "images/{Datei}"', finding="größe"
        )
        assert findings(ingest(source, take_inventory(source, root))) == {"images/a.png": "Jürgen"}


def test_ignored_and_desktop_files_are_no_images(tmp_path: Path) -> None:
    files = ("images/a.png", "images/b.png", "images/masks/a.png", "images/._a.png")
    source, root = write(tmp_path, ROWS, files=files, reader='path = "images/{file}"\nignore = ["*/masks/*"]')
    inventory = take_inventory(source, root, fetched=files)
    assert ingest(source, inventory)["source_path"].tolist() == ["images/a.png", "images/b.png"]


def test_a_withdrawal_in_another_spelling_is_refused(tmp_path: Path) -> None:
    _, root = write(tmp_path, ROWS)
    declaration = (tmp_path / "s.toml").read_text()
    (tmp_path / "s.toml").write_text(declaration.replace("[reader]", 'withdrawn = "w.csv"\n[reader]'))
    (tmp_path / "w.csv").write_text("path,date,reason\nimages/A.png,2026-01-02,on request\n")
    source = read_source("s.toml", tmp_path)
    with pytest.raises(CxrbuildError, match=r"images/A\.png \(the file is images/a\.png\)"):
        ingest(source, take_inventory(source, root))


@pytest.mark.parametrize(
    ("delimiter", "declared"), [(";", ";"), ("\t", "\\t"), ("|", "|"), (".", "."), (" ", " "), ("§", "§")]
)
def test_the_declared_character_separates_the_cells(tmp_path: Path, delimiter: str, declared: str) -> None:
    rows = [["file", "finding"], ["a", '"sick, not well"'], ["b", f'"well{delimiter}known"']]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    source, root = write(tmp_path, text, reader=f'path = "images/{{file}}.png"\ndelimiter = "{declared}"')
    records = ingest(source, take_inventory(source, root))
    assert findings(records) == {
        "images/a.png": "sick, not well",
        "images/b.png": f"well{delimiter}known",
    }


@pytest.mark.parametrize("declared", ["", ";;", '\\"', "\\n", "\\r", "\\uFEFF"])
def test_what_cannot_separate_cells_is_no_delimiter(tmp_path: Path, declared: str) -> None:
    with pytest.raises(
        DeclarationError, match=r"reader\.delimiter: .* is no delimiter; expected one character"
    ):
        write(tmp_path, ROWS, reader=f'path = "images/{{file}}"\ndelimiter = "{declared}"')


@pytest.mark.parametrize(("delimiter", "declared"), [(";", '";"'), ("\t", '"\\t"')])
@pytest.mark.parametrize("header", ["", 'header = ["file", "finding"]'])
def test_another_delimiter_than_the_declared_one_is_named(
    tmp_path: Path, delimiter: str, declared: str, header: str
) -> None:
    # A decimal comma makes a second cell of some lines.
    text = ROWS.replace(",", delimiter).replace("well", "12,5")
    source, root = write(tmp_path, text, reader='path = "images/{file}"\n' + header)
    with pytest.raises(CxrbuildError, match="another delimiter") as caught:
        ingest(source, take_inventory(source, root))
    assert f"Declare `delimiter = {declared}` in the reader" in str(caught.value)


def test_a_decimal_comma_is_no_age_whatever_separates_the_cells(tmp_path: Path) -> None:
    reader = 'path = "images/{file}"\ndelimiter = ";"\n[columns.patient_age]\nfrom = "age"'
    text = "file;finding;age\na.png;sick;12,5\nb.png;well;12.5\n"
    source, root = write(tmp_path, text, reader=reader)
    with pytest.raises(
        CxrbuildError,
        match=r"line 2, column age: '12,5' is no age with the decimal sign '\.': declare `decimal",
    ) as caught:
        ingest(source, take_inventory(source, root))
    assert "line 3" not in str(caught.value)


@pytest.mark.parametrize("name", ["META.csv", "./meta.csv"])
def test_a_metadata_file_in_another_spelling_is_named(tmp_path: Path, name: str) -> None:
    source, root = write(tmp_path, ROWS)
    (tmp_path / "s.toml").write_text((tmp_path / "s.toml").read_text().replace('"meta.csv"', f'"{name}"'))
    (root / "meta.csv").rename(root / "Meta.csv")
    if (root / "meta.csv").exists():
        pytest.skip("the file system ignores case")
    source = read_source("s.toml", tmp_path)
    with pytest.raises(
        CxrbuildError, match=r"metadata is not there\. Found: Meta\.csv\. Write `reader\.file` as"
    ):
        ingest(source, take_inventory(source, root))


def test_a_file_name_finds_its_image_in_any_folder(tmp_path: Path) -> None:
    files = ("images/one/a.png", "images/two/b.png")
    source, root = write(tmp_path, ROWS, files, reader='file_name = "{file}"')
    assert findings(ingest(source, take_inventory(source, root))) == {
        "images/one/a.png": "sick",
        "images/two/b.png": "well",
    }


def test_a_file_name_in_two_folders_is_an_error(tmp_path: Path) -> None:
    files = ("images/one/a.png", "images/two/a.png", "images/b.png")
    source, root = write(tmp_path, ROWS, files, reader='file_name = "{file}"')
    with pytest.raises(
        CxrbuildError, match=r"line 2: 'a.png' can be \"images/one/a.png\", \"images/two/a.png\""
    ):
        ingest(source, take_inventory(source, root))


def test_leading_folders_of_the_paths_are_removed(tmp_path: Path) -> None:
    rows = "file,finding\nSet-1.0/images/a.png,sick\n./Set-1.0//images/b.png,well\n"
    source, root = write(tmp_path, rows, reader='path = "{file}"\nstrip = 1')
    assert findings(ingest(source, take_inventory(source, root))) == BOTH


@pytest.mark.parametrize(
    ("reader", "problem"),
    [
        ('path = "{file}"\nfile_name = "{file}"', "has path and file_name"),
        ('file_name = "{file}"\nstrip = 1', "`strip` belongs to `path`"),
        ('accession_number = "{file}"\nsuffixes = [".png"]', "`suffixes` belong to `path` or `file_name`"),
    ],
)
def test_keys_that_do_not_go_together(tmp_path: Path, reader: str, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        write(tmp_path, ROWS, reader=reader)


FLAGS = """
name = "mine"
title = "Mine"
finding_separator = "|"

[reader]
kind = "csv"
file = "meta.csv"
images = ["images/*.png"]
path = "images/{{file}}"
patient_id = "keep"

[columns.finding]
columns = ["Edema", "Pleural Effusion"]
{keys}
"""


def flagged(folder: Path, rows: str, keys: str = "") -> pd.DataFrame:
    """Return the rows of a table with a column for each finding."""
    _, root = write(folder, f"file,Edema,Pleural Effusion\n{rows}")
    (folder / "s.toml").write_text(FLAGS.format(keys=keys))
    source = read_source("s.toml", folder)
    return ingest(source, take_inventory(source, root))


def test_a_column_for_each_finding(tmp_path: Path) -> None:
    records = flagged(tmp_path, "a.png,1.0,1\nb.png,0,\n").set_index("source_path")
    assert records.loc["images/a.png", "finding"] == "Edema|Pleural Effusion"
    assert pd.isna(records.loc["images/b.png", "finding"])


def test_a_value_that_is_neither_present_nor_absent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        CxrbuildError, match=r"meta.csv, line 2: '-1.0' in 'Edema' is in neither `present` nor"
    ):
        flagged(tmp_path, "a.png,-1.0,1\nb.png,0,\n")
    records = flagged(tmp_path, "a.png,-1.0,1\nb.png,0,\n", 'absent = ["0", "", "-1.0"]')
    assert findings(records)["images/a.png"] == "Pleural Effusion"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('from = "Edema"', "give one of `from`, `value` and `columns`"),
        ('present = ["1", ""]', "'' is in `present` and in `absent`"),
        ('pattern = "(.)"', "`pattern` and `map` belong to `from`"),
    ],
)
def test_columns_of_findings_are_declared_strictly(tmp_path: Path, keys: str, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        flagged(tmp_path, "a.png,1,1\nb.png,0,\n", keys)


def test_several_columns_of_findings_need_a_separator(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(FLAGS.format(keys="").replace('finding_separator = "|"', ""))
    with pytest.raises(DeclarationError, match="several `columns` need the source's `finding_separator`"):
        read_source("s.toml", tmp_path)
    (tmp_path / "s.toml").write_text(FLAGS.format(keys="").replace('"|"', '" "'))
    with pytest.raises(DeclarationError, match="'Pleural Effusion' contains the `finding_separator`"):
        read_source("s.toml", tmp_path)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    source, root = write(tmp_path, "", reader='file_name = "a.png"')
    with pytest.raises(
        CxrbuildError, match=r"meta\.csv: the CSV file is empty\. Expected: a header, and a row"
    ):
        ingest(source, take_inventory(source, root))


def test_a_misspelt_file_is_answered_with_the_files_that_are_there(tmp_path: Path) -> None:
    source, root = write(tmp_path, ROWS)
    (root / "meta.csv").rename(root / "metadata.csv")
    with pytest.raises(CxrbuildError, match="metadata is not there") as raised:
        ingest(source, take_inventory(source, root))
    assert raised.value.todo == "Correct `reader.file`; the source has metadata.csv"
