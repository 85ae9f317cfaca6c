"""Published lists are read as people write them, and what is wrong with them is found."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command import run
from published_split import write_declared

import cxrbuild
from cxrbuild.demo.phantom import phantom
from cxrbuild.lists import ListAuditResult, ListFile, match_members, read_lists
from cxrbuild.records import conform, image_id, write_records

ROWS = [("p1", "a b.png", "A"), ("p2", "c.png", "B")]


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.txt", "p1 a b.png A\np2 c.png B\n"),
        ("train.txt", b"\xef\xbb\xbfp1 a b.png A\r\np2 c.png B\r\n"),
        ("train.txt", "p1\ta b.png\tA\np2\tc.png\tB\n"),
        ("train.csv", "Patient ID,Image Index,Finding Labels\np1,a b.png,A\np2,c.png,B\n"),
        ("train.csv", b"\xef\xbb\xbffilename;label;patient_id\r\na b.png;A;p1\r\nc.png;B;p2\r\n"),
        ("train.csv", 'note,"image path",class,subject\n"x, y",a b.png,A,p1\n,c.png,B,p2\n'),
        ("all.csv", "patient,file,label,split\np1,a b.png,A,training\np2,c.png,B,Train\n"),
        ("train.psv", "subject|path|label\np1|a b.png|A\np2|c.png|B\n"),
        ("train.txt", "p1,a b.png,A\np2,c.png,B\n"),
        ("train.tsv", b"\xef\xbb\xbffile\tclass\tcase\r\na b.png\tA\tp1\r\nc.png\tB\tp2\r\n"),
        ("train.csv", "sep=;\nfile;label;patient\na b.png;A;p1\nc.png;B;p2\n"),
        ("train.csv", "\n\n Image ID , Label , Subject \n a b.png , A , p1 \n\nc.png,B,p2\n"),
        ("train.txt", "patient file class\np1 a b.png A\np2 c.png B\n"),
        ("train.jsonl", '{"case": "p1", "file": "a b.png", "class": "A"}\n'
         '{"case": "p2", "file": "c.png", "class": "B"}\n'),
        ("train.json", '[{"patient": "p1", "image": "a b.png", "label": "A"},'
         ' {"patient": "p2", "image": "c.png", "label": "B"}]'),
        ("all.json", '{"train": [{"patient": "p1", "image": "a b.png", "label": "A"},'
         ' {"patient": "p2", "image": "c.png", "label": "B"}]}'),
    ],
)  # fmt: skip
def test_a_list_is_read_in_every_layout(tmp_path: Path, name: str, text: str | bytes) -> None:
    rows = read_lists([ListFile(written(tmp_path, name, text))])
    assert list(rows[["patient", "file", "label"]].itertuples(index=False, name=None)) == ROWS
    assert set(rows["split"]) == {"train"}


def test_a_comma_in_a_name_is_no_separator(tmp_path: Path) -> None:
    rows = read_lists([ListFile(written(tmp_path, "train.txt", "p1 a,b.png A\np2 c.png B\n"))])
    assert rows["file"].tolist() == ["a,b.png", "c.png"]


def test_a_list_without_patients(tmp_path: Path) -> None:
    rows = read_lists([ListFile(written(tmp_path, "train.txt", "a.png A\nD:\\x y\\b c.png B\n"))])
    assert rows[["path", "label"]].to_numpy().tolist() == [["a.png", "A"], ["D:/x y/b c.png", "B"]]
    assert rows["patient"].isna().all()


def test_a_list_of_names_alone(tmp_path: Path) -> None:
    rows = read_lists([ListFile(written(tmp_path, "train.csv", "file name\na b.png\nC:\\x\\c.png\n"))])
    assert rows["path"].tolist() == ["a b.png", "C:/x/c.png"]
    rows = read_lists([ListFile(written(tmp_path, "test.txt", "a b.png\nc.png\n"))], {"file": "1"})
    assert rows["file"].tolist() == ["a b.png", "c.png"]


def test_columns_by_position_and_by_name(tmp_path: Path) -> None:
    one = written(tmp_path, "test.txt", "x.png B p7\n")
    rows = read_lists([ListFile(one)], {"file": "1", "label": "2", "patient": "3"})
    assert rows[["file", "label", "patient"]].iloc[0].tolist() == ["x.png", "B", "p7"]
    two = written(tmp_path, "test.csv", "scan,kind\n.\\images\\x.png,B\n")
    assert read_lists([ListFile(two)], {"file": "1", "label": "2"})["label"].tolist() == ["B"]
    rows = read_lists([ListFile(two)], {"file": "scan", "label": "kind"})
    assert rows[["file", "path", "label"]].iloc[0].tolist() == [".\\images\\x.png", "images/x.png", "B"]
    assert read_lists([ListFile(one, "validation")], {"file": "1"})["split"].tolist() == ["validation"]


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("train.txt", "p1 nothing A\n", "", "line 1: a line of the list names no image"),
        ("train.txt", "", "", "the list has no rows"),
        ("some.txt", "p1 a.png A\n", "", "have no file or no split. Found: line 1: no split"),
        ("train.csv", "file,label\na.png,A,B\n", "", "line 2: a row of the list has another length"),
        ("train.csv", "file,label\na.png,A\n", "label=kind", "the list has no column 'kind'"),
        ("train.txt", "p1 a.png A\n", "file=name", "Give the column's position, from 1"),
        ("train.txt", "p1 a.png A\n", "colour=3", "no column of a list is called colour"),
        ("train.csv", "scan,kind\na.png,A\n", "", "the list has no column of files"),
        ("train.csv", "scan,kind\na.png,A\n", "file=scan,label=7", "no row of the list has these columns"),
        ("train.txt", "p1 a.png A\n", "label=7", "no row of the list has these columns"),
        ("all.csv", "file,split\na.png,learn\n", "", "line 2: no known split, but 'learn'"),
        ("train.txt", "p1 a.png A\n".encode("utf-16"), "", "not UTF-8 text"),
        ("train.csv", "file,file,label\na.png,b.png,A\n", "", "two columns of the list have one name"),
        ("train.csv", "file,label\na.png\0,A\n", "", "train.csv, line 2: not text: it holds a NUL byte"),
        ("train.csv", "file,label\n,A\n", "", "Found: line 2: no file"),
        ("train.json", '[{"file": ["a.png"]}]', "", "not one value"),
        ("train.json", '[{"file": "a.png"}]', "label=kind", "no row of the list has these columns"),
        ("train.json", "{", "", "not a JSON document"),
        ("train.json", '{"train": 3}', "", "not a list of files"),
        ("train.txt", b"p1 \xff.png A\n", "", "not UTF-8 text"),
        ("train.csv", 'file,label\n"a.png,A\n', "", "train.csv"),
    ],
)
def test_a_list_that_cannot_be_read_is_a_clear_error(
    tmp_path: Path, name: str, text: str | bytes, columns: str, message: str
) -> None:
    path = written(tmp_path, name, text)
    words = ["--columns", columns] if columns else []
    ran = run("audit", "--list", path, *words, "--data", tmp_path / "none", COLUMNS="1000")
    assert ran.status == 1, ran.err
    assert " ".join(message.split()) in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def findings(result: ListAuditResult, check: str) -> list[tuple[str, list[str]]]:
    found = next(one.findings for one in result.checks if one.id == check)
    assert found is not None
    return [(finding.message, finding.rows) for finding in found]


def test_every_problem_of_a_list_is_found_without_sources(tmp_path: Path) -> None:
    train = written(
        tmp_path, "train.txt",
        "p1 a.png A rsna\np2 b.png A rsna\np2 b.png A rsna\np3 c.png A rsna\n"
        "P-03 d.png B rsna\nANON e.png B rsna\nANON f.png B rsna\n7a h.png A rnsa\n7b i.png A rnsa\n",
    )  # fmt: skip
    test = written(tmp_path, "test.txt", "p1 g.png A\np9 c.png B\np8 ./j.png A rsna\n")
    result = cxrbuild.audit_lists([train, test])
    assert findings(result, "patients") == [
        ("patient p1 is in test and train", ["train.txt:1", "test.txt:1"])
    ]
    assert findings(result, "files") == [
        ("b.png is listed 2 times", ["train.txt:2", "train.txt:3"]),
        ("c.png is listed 2 times in test and train", ["train.txt:4", "test.txt:2"]),
    ]
    assert findings(result, "classes") == [("c.png has the classes A and B", ["train.txt:4", "test.txt:2"])]
    assert findings(result, "spellings") == [
        ("7a and 7b of rnsa can be one patient, in train", ["train.txt:8", "train.txt:9"]),
        ("P-03 and p3 of rsna can be one patient, in train", ["train.txt:4", "train.txt:5"]),
    ]
    assert findings(result, "ids") == [
        ("'ANON' is no id; it has 2 images in train", ["train.txt:6", "train.txt:7"])
    ]
    assert [message for message, _ in findings(result, "source_names")] == [
        "the sources rnsa (2 rows) and rsna (8 rows) can be one"
    ]
    assert {one.id for one in result.checks if one.findings is None} == {
        "known_files", "linked_images", "equal_files", "near_duplicates", "source_patients",
    }  # fmt: skip
    assert not result.passed
    # Two lists of one name are named with their folders.
    (tmp_path / "a").mkdir()
    other = written(tmp_path / "a", "train.txt", "p4 x.png A rsna\np5 y.png A rsna\n")
    both = cxrbuild.audit_lists([train, other])
    assert findings(both, "files") == [
        ("b.png is listed 2 times", [f"{train.as_posix()}:2", f"{train.as_posix()}:3"])
    ]
    assert both.table is not None
    assert both.table.loc[both.table["list"] == str(other), "findings"].isna().all()


def test_a_list_is_compared_with_the_sources(demo: Path, tmp_path: Path) -> None:
    recipe, data = demo / "declared" / "recipe.toml", demo / "data"
    records = cxrbuild.plan(recipe, data, as_pinned=True).records
    sizes = records[records["source"] == "cohen"].groupby("group").size()
    group = records[records["group"] == sizes[sizes > 1].index[0]]
    first, second = group["source_path"].iloc[:2]
    single = records[records["group"] == sizes[sizes == 1].index[0]]["source_path"].iloc[0]
    written(tmp_path, "train.txt", f"p1 {first.rsplit('/')[-1]} A c\np5 {single.rsplit('/')[-1]} A c\n")
    written(tmp_path, "test.txt", f"p2 {second.rsplit('/')[-1]} A c\np4 absent.png A c\np6 far.png A other\n")
    words = ["audit", "--list", tmp_path / "train.txt", "--list", f"test={tmp_path / 'test.txt'}"]
    ran = run(*words, "--recipe", recipe, "--data", data, "--json")
    assert ran.status == 3, ran.err
    result = json.loads(ran.out)
    assert result["sources"] == {"c": {"rows": 4, "found": 3}, "other": {"rows": 1, "found": 0}}
    found = {check["id"]: check["findings"] for check in result["checks"]}
    assert [(one["message"], one["rows"]) for one in found["known_files"]] == [
        ("no source has absent.png", ["test.txt:2"])
    ]
    (linked,) = found["linked_images"]
    assert linked["rows"] == ["train.txt:1", "test.txt:1"]
    assert "p1, p2" in linked["message"]
    (patient,) = found["source_patients"]
    assert "is listed as p1, p2 in test and train" in patient["message"]
    assert linked_rows(result) == (3, "not checked in 2 rows without an image in the sources here")


def linked_rows(result: dict[str, Any]) -> tuple[int, str]:
    return next((one["rows"], one["reason"]) for one in result["checks"] if one["id"] == "linked_images")


def test_a_list_of_names_alone_is_compared_with_the_sources(demo: Path, tmp_path: Path) -> None:
    recipe, data = demo / "declared" / "recipe.toml", demo / "data"
    paths = cxrbuild.plan(recipe, data, as_pinned=True).records["source_path"].unique()
    names = [path.rsplit("/")[-1] for path in paths[:3]]
    written(tmp_path, "theirs.csv", "\n".join(["file", *names, "my_own_1.png", ""]))
    words = ["audit", "--list", f"train={tmp_path / 'theirs.csv'}", "--recipe", recipe, "--no-pixels"]
    ran = run(*words, "--data", data)
    assert ran.status == 3, ran.out
    assert "known_files: 1 finding. Must hold: The sources have every file." in ran.out
    assert "no source has my_own_1.png: theirs.csv:5" in ran.out
    # What looks at none or some of the rows says so.
    assert "patients: not checked, no row has a patient id. Must hold: " in ran.out
    assert (
        "linked_images: passed in 3 rows, not checked in 1 row without an image in the sources here. "
        in ran.out
    )
    # A list of which most files are in no source here can be of other sources.
    written(tmp_path, "theirs.csv", "\n".join(["file", names[0], "a.png", "b.png", ""]))
    ran = run(*words, "--data", data)
    assert ran.status == 0, ran.out
    assert (
        "known_files: passed in 1 row, not checked in 2 rows without a file whose source is known to be here."
    ) in ran.out


def test_near_duplicates_are_found_where_the_images_are(tmp_path: Path) -> None:
    recipe = write_declared(tmp_path / "declared")
    images = tmp_path / "declared" / "data" / "sources" / "mine"
    radiograph = phantom("one", "Normal")
    radiograph.save(images / "p1_a.png")
    radiograph.resize((300, 300)).save(images / "img" / "p2 c.png")
    (images / "p5_e.png").write_bytes((images / "p3_d.png").read_bytes())
    written(tmp_path, "train.txt", "p1 p1_a.png A\np3 p3_d.png A\n")
    written(tmp_path, "test.txt", "p2 c.png A\np2 p2 c.png A\np5 p5_e.png B\n")
    words = ["audit", "--list", tmp_path / "train.txt", "--list", tmp_path / "test.txt", "--recipe", recipe]
    words += ["--data", tmp_path / "declared" / "data", "--workers", "1"]
    ran = run(*words, "--json")
    assert ran.status == 3, ran.err
    result = json.loads(ran.out)
    assert result["compared_images"] == 4
    found = {check["id"]: check["findings"] for check in result["checks"]}
    messages = [(one["message"], one["rows"]) for one in found["near_duplicates"]]
    assert messages == [
        ("p1_a.png and p2 c.png, a near-duplicate (1.00), are in test and train",
         ["train.txt:1", "test.txt:2"]),
        ("p3_d.png and p5_e.png, with the same bytes (1.00), are in test and train and of the classes A and "
         "B", ["train.txt:2", "test.txt:3"]),
    ]  # fmt: skip
    ran = run(*words, "--no-pixels")
    assert ran.status == 0
    assert "near_duplicates: not checked, --no-pixels omits it. Must hold: No near-duplicates" in ran.out


def test_a_declared_list_is_audited_as_it_is_declared(tmp_path: Path) -> None:
    write_declared(tmp_path)
    data = tmp_path / "data"
    words = ["audit", "--list", tmp_path / "ours.toml", "--recipe", tmp_path / "recipe.toml", "--data", data]
    ran = run(*words, "--no-pixels", "--json")
    assert ran.status == 3, ran.err
    result = json.loads(ran.out)
    assert result["rows"] == {"test": {"ill": 1, "sick": 1, "well": 2}, "train": {"sick": 1, "well": 1}}
    found = {check["id"]: check["findings"] for check in result["checks"]}
    # Of the source that is not there, no file is known to be absent.
    assert found["known_files"] == []
    assert [one["message"] for one in found["files"]] == ["p1_a.png is listed 2 times in test and train"]
    assert [one["message"] for one in found["linked_images"]] == [
        "the images of mine:p1 are in test and train; the list has the patients p1, p9"
    ]
    # A list without patients.
    for split, file in (("train", "p1_a.png"), ("test", "p1_b.png")):
        written(tmp_path, f"{split}.csv", f"file\n{file}\n")
    words[2:3] = [tmp_path / "train.csv", "--list", tmp_path / "test.csv"]
    ran = run(*words, "--no-pixels")
    assert "  the images of mine:p1 are in test and train: " in ran.out


def test_a_list_without_findings_passes(tmp_path: Path) -> None:
    written(tmp_path, "train.txt", "1 a.png A\n2 b.png B\n")
    ran = run("audit", "--list", tmp_path / "train.txt", "--data", tmp_path / "none")
    assert ran.status == 0, ran.err
    assert "patients: passed. No patient is in two splits." in ran.out
    assert "not checked" in ran.out


def test_covidx4_has_patients_of_linked_images_in_two_splits(shared: Path, metadata_only: Path) -> None:
    lists = [shared / "lists" / f"{split}_COVIDx4.txt" for split in ("train", "test")]
    result = cxrbuild.audit_lists(lists, metadata_only)
    found = {name: count for name, (_, count) in result.sources.items()}
    assert {name: found[name] for name in ("cohen", "fig1", "actmed", "rsna")} == {
        "cohen": 473, "fig1": 35, "actmed": 58, "rsna": 0,
    }  # fmt: skip
    assert not findings(result, "known_files")
    assert not findings(result, "patients")
    assert len(findings(result, "linked_images")) == 4


@pytest.mark.slow
def test_the_page_has_what_is_found_in_covidx(shared: Path, metadata_only: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "auditing-lists.md").read_text(encoding="utf-8")
    for column, version in enumerate(("4", "5", "9A"), 1):
        lists = [shared / "lists" / f"{split}_COVIDx{version}.txt" for split in ("train", "test")]
        result = cxrbuild.audit_lists(lists, metadata_only, dataset="covid19-cxr/1.0.0")
        for check in result.checks:
            line = next(line for line in page.splitlines() if line.startswith(f"| `{check.id}` |")
                        and line.count("|") == 5)  # fmt: skip
            if check.findings is not None:
                assert line.split("|")[column + 1].strip() == str(len(check.findings)), (version, line)


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    ran = run("audit", "--list", f"train={tmp_path}", "--data", tmp_path / "none", COLUMNS="999")
    assert ran.status == 1
    assert "no list that can be read" in ran.err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"p1 a.png sick\n"), "Found: a file that gzip compressed. Decompress it"),
        ("p1 a.png sick\n".encode("utf-16"), "Found: UTF-16, as some Windows programs write it"),
        ("p1 a.png sick\n".encode("utf-16-le"), "not text: it holds a NUL byte. Decompress it, or save it"),
        (b"PK\x03\x04\xff", "Found: a ZIP archive"),
        (b"", "the list has no rows. Expected: a line for each image"),
    ],
    ids=["gzip", "utf-16", "utf-16-le", "zip", "empty"],
)
def test_files_that_are_no_text(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "test_x.txt").write_bytes(data)
    done = run("audit", "--list", tmp_path / "test_x.txt", "--data", tmp_path)
    assert done.status == 1
    assert message in " ".join(done.err.split())


def test_a_list_without_splits_says_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("p1 a.png sick\n")
    done = run("audit", "--list", tmp_path / "plain.txt", "--data", tmp_path)
    assert "Found: line 1: no split. Write SPLIT=FILE" in " ".join(done.err.split())


# source, path, patient, class, split, exclusion, detail
MEMBERS = [
    ("one", "images/a.jpeg", "1", "Sick", "train", None, None),
    ("one", "images/b.jpeg", "1", "Sick", "train", None, None),
    ("one", "images/c.png", "2", "Well", "test", None, None),
    ("one", "images/d.png", "3", "Well", "train", None, None),
    ("one", "images/e.png", "4", "Well", "train", "annotated", "arrow: red"),
    ("two", "scans/a.jpeg", "5", "Sick", "test", None, None),
    ("two", "scans/f.png", "6", "Sick", "test", None, None),
]


def write_dataset(folder: Path, *, ledger: bool = True) -> Path:
    """Write the manifest of a small dataset, with the ledger next to it as in a plan; return the folder."""
    columns = ["source", "source_path", "patient_id", "label", "split", "exclusion", "exclusion_detail"]
    records = pd.DataFrame(MEMBERS, columns=columns, dtype="str")
    ids = [image_id(source, path) for source, path, *_ in MEMBERS]
    records = conform(records.assign(image_id=ids, group=records["source"] + ":" + records["patient_id"]))
    folder.mkdir()
    kept = records[records["exclusion"].isna()]
    kept[["image_id", "source", "source_path", "label", "split"]].to_parquet(folder / "manifest.parquet")
    if ledger:
        write_records(folder / "ledger.parquet", records)
    return folder


def test_a_list_is_compared_with_a_dataset(tmp_path: Path) -> None:
    place = write_dataset(tmp_path / "plan")
    theirs = written(
        tmp_path, "theirs.csv",
        "file,label,source,split\n"
        "A.png,sick,first,train\n"  # the same image: another suffix and case, found by its source
        "b.jpeg,1,first,test\n"  # another split, and of a patient who is in train
        "c.png,0,,test\n"
        "d.png,1,first,train\n"  # another class, if 1 were known to be Sick
        "e.png,0,first,train\n"  # excluded
        "a.jpeg,sick,,test\n"  # can be two images
        "f.jpg,sick,,test\n"  # another suffix, and no source
        "g.png,sick,third,test\n"
        f"train/{image_id('two', 'scans/f.png')}.jpg,well,,test\n",
    )  # fmt: skip
    ran = run("audit", "--list", theirs, "--with", place, "--data", tmp_path / "none", "--json")
    assert ran.status == 3, ran.err
    result = json.loads(ran.out)
    found = {check["id"]: check for check in result["checks"]}
    assert "known_files" not in found
    assert [(one["message"], one["rows"]) for one in found["in_dataset"]["findings"]] == [
        ("e.png is excluded by annotated (arrow: red)", ["theirs.csv:6"]),
        ("a.jpeg can be one/images/a.jpeg, two/scans/a.jpeg; its folder or a column with its source would "
         "show which", ["theirs.csv:7"]),
        ("f.jpg can be two/scans/f.png; it has another suffix there, and the list states no source",
         ["theirs.csv:8"]),
        ("g.png is not in the dataset", ["theirs.csv:9"]),
    ]  # fmt: skip
    (moved,) = found["same_split"]["findings"]
    assert (moved["message"], moved["rows"], moved["images"]) == (
        "b.jpeg is in test of the list and in train of the dataset", ["theirs.csv:3"],
        [image_id("one", "images/b.jpeg")],
    )  # fmt: skip
    (leak,) = found["leakage"]["findings"]
    assert leak["message"] == "images of one:1 are in test of the list and in train of the dataset"
    assert leak["rows"] == ["theirs.csv:3"]
    (other,) = found["same_class"]["findings"]
    assert (
        other["message"]
        == f"train/{image_id('two', 'scans/f.png')}.jpg is well in the list and Sick in the dataset"
    )
    summary = result["dataset"]
    assert {name: summary[name] for name in ("rows", "found", "excluded", "ambiguous", "shared")} == {
        "rows": 9, "found": 6, "excluded": 1, "ambiguous": 2, "shared": 5,
    }  # fmt: skip
    assert (summary["other_split"], summary["other_class"], summary["leakage"]) == (1, 1, 1)
    assert summary["splits"] == {"test": {"test": 2, "train": 1}, "train": {"train": 2}}
    assert summary["not_listed"] == {"Sick": {"test": 1}}
    words = {one["word"]: (one["label"], one["by"]) for one in summary["classes"]}
    assert words == {"0": (None, None), "1": (None, None), "sick": ("Sick", "name"), "well": ("Well", "name")}
    assert found["same_class"]["rows"] == 2
    table = tmp_path / "tables" / "rows.csv"
    ran = run("audit", "--list", theirs, "--with", place, "--data", tmp_path / "none", "--out", table)
    # Each finding is named, those of several kinds too.
    assert (
        "1 excluded by annotated:\n    e.png is excluded by annotated (arrow: red): theirs.csv:6" in ran.out
    )
    listed = [finding["rows"] for one in found.values() for finding in one["findings"] or ()]
    assert ran.out.count("theirs.csv:") == sum(map(len, listed))
    rows = pd.read_csv(table, dtype="str").set_index("line")
    assert rows["file"].tolist()[:2] == ["A.png", "b.jpeg"]
    assert rows.loc["3"].drop(["list", "file"]).to_dict() == {
        "image_id": image_id("one", "images/b.jpeg"), "list_split": "test", "dataset_split": "train",
        "list_class": "1", "dataset_class": "Sick", "patient": "one:1",
        "findings": "linked_images: the images of one:1 are in test and train; "
        "same_split: b.jpeg is in test of the list and in train of the dataset; "
        "leakage: images of one:1 are in test of the list and in train of the dataset",
    }  # fmt: skip
    # An excluded image is not in a split of the dataset; an ambiguous name is no image.
    assert rows.loc["6", ["image_id", "patient"]].notna().all()
    assert rows.loc[["6", "7"], ["dataset_split", "dataset_class"]].isna().all(axis=None)
    assert pd.isna(rows.loc["7", "image_id"])
    # It is written again, but nothing else is overwritten.
    before = theirs.read_bytes()
    assert run("audit", "--list", theirs, "--no-pixels", "--data", tmp_path, "--out", table).status == 0
    ran_over = run("audit", "--list", theirs, "--out", theirs)
    assert ran_over.status == 1
    assert "another file is there, and it is not overwritten" in ran_over.err
    assert theirs.read_bytes() == before
    assert (
        "class 1: not checked; the dataset has no class of this name, and its images in both are 1 Sick, "
        "1 Well." in ran.out
    )
    last = ran.out.rsplit("\n\n", 2)[1].splitlines()
    assert [line.rsplit(maxsplit=1) for line in last[1:]] == [
        ["rows in the list", "9"], ["rows found in the dataset", "6"], ["  excluded from the dataset", "1"],
        ["rows with an ambiguous name", "2"], ["images in both", "5"], ["  in another split", "1"],
        ["  of another class", "1"], ["patients with leakage", "1"],
        ["images of the dataset not found in the list", "1"],
    ]  # fmt: skip


def test_a_class_word_is_taken_for_the_class_of_its_images(tmp_path: Path) -> None:
    place = write_dataset(tmp_path / "plan", ledger=False)
    theirs = written(tmp_path, "theirs.csv", "\n".join([
        "file,label,split", "images/a.jpeg,pos,train", "b.jpeg,pos,train", "C:\\x\\scans\\a.jpeg,pos,test",
        "f.png,pos,test", "d.png,pos,train", "c.png,neg,test", "e.png,neg,train",
    ]))  # fmt: skip
    result = cxrbuild.audit_lists([theirs], dataset=place)
    assert result.dataset is not None
    assert [(one.word, one.label, one.by) for one in result.dataset.classes] == [
        ("neg", None, None), ("pos", "Sick", "images"),
    ]  # fmt: skip
    assert [message for message, _ in findings(result, "same_class")] == [
        "d.png is pos in the list and Well in the dataset"
    ]
    # Nothing says who the patients are, nor which images are excluded. Of two files of one name, the folder
    # above says which, whatever folders the list has above that.
    assert result.dataset.leakage is None
    assert result.dataset.excluded is None
    assert findings(result, "in_dataset") == [("e.png is not in the dataset", ["theirs.csv:8"])]
    ran = run("audit", "--list", theirs, "--with", place, "--data", tmp_path / "none")
    assert "class pos: taken for Sick, the class of 4 of 5 images in both." in ran.out
    assert "leakage: not checked, the manifest of the dataset states no patients; name its build" in ran.out


def test_a_list_without_a_common_name_says_what_to_do(tmp_path: Path) -> None:
    place = write_dataset(tmp_path / "plan")
    theirs = written(tmp_path, "train.csv", "file\nx.png\n")
    ran = run("audit", "--list", theirs, "--with", place, "--data", tmp_path / "none")
    assert ran.status == 3
    assert "same_split: not checked, no row has an image in the dataset." in ran.out
    assert "No file of the list is found in the dataset by its name. `--columns file=NAME`" in ran.out
    theirs = written(tmp_path, "train.csv", "file,label\nf.jpg,well\n")
    ran = run("audit", "--list", theirs, "--with", place, "--data", tmp_path / "none")
    assert "`--columns source=NAME` names the column of the sources" in ran.out
    theirs = written(tmp_path, "train.csv", "file,label\nf.png,well\n")
    ran = run("audit", "--list", theirs, "--with", place, "--data", tmp_path / "none")
    assert "class well: Well, by its name, but its images in both are 1 Sick." in ran.out


def test_files_whose_names_a_release_hides_are_not_called_absent() -> None:
    rows = pd.DataFrame(
        {
            "path": ["p/x.png", "p/y.png", "z.png", "z.png", "z.png", "p/o.png", "p/o.png", "p/o.png"],
            "source": [None, None, None, "third", "open", "Closed", "open", None],
        },
        dtype="str",
    )
    ids = [image_id("closed", f"p/{name}.png", named=False) for name in "xo"]
    members = pd.DataFrame(
        {"image_id": [*ids, image_id("open", "p/o.png")], "source": ["closed", "closed", "open"],
         "source_path": ["closed_1", "closed_2", "p/o.png"]}, dtype="str",
    )  # fmt: skip
    found = match_members(rows, members, {"closed"})
    # The whole path gives the id; a name alone does not.
    # A file of the open source that has the name of one that is hidden is not taken for it.
    assert found["member"].tolist() == [0, pd.NA, pd.NA, pd.NA, pd.NA, 1, 2, pd.NA]
    assert found["unknown"].tolist() == [False, True, True, True, False, False, False, False]
    assert found["candidates"].dropna().to_dict() == {
        7: f"{members['image_id'][2]}, {members['image_id'][1]}"
    }
