"""A published list decides membership, class and split, and the ledger accounts for each of its rows."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from command import run
from file_server import Answer, Server
from published_split import LIST, OTHER, RECIPE, ROWS, write_declared, write_image
from releasing import change_rows

import cxrbuild
from cxrbuild.catalog import read_image_list
from cxrbuild.lists import read_declared_list
from cxrbuild.records import read_records
from cxrbuild.shell import quote

COLUMNS = ["source", "source_path", "listed", "label", "split", "exclusion", "exclusion_detail"]


def planned(recipe: Path) -> pd.DataFrame:
    return cxrbuild.plan(recipe, recipe.parent / "data").records


def test_each_row_of_the_list_and_each_image_is_accounted_for(tmp_path: Path) -> None:
    records = planned(write_declared(tmp_path))
    rows = sorted(records[COLUMNS].fillna("").itertuples(index=False, name=None))
    assert rows == [
        ("mine", "img/p1_b.png", "list.csv:3", "Sick", "test", "", ""),
        ("mine", "img/p2 c.png", "list.csv:4", "Well", "test", "", ""),
        ("mine", "p1_a.png", "list.csv:2", "Sick", "train", "", ""),
        ("mine", "p1_a.png", "list.csv:5", "Well", "", "listed_twice", "test Well"),
        ("mine", "p3_d.png", "", "", "", "not_listed", ""),
        ("mine", "x.png", "", "", "", "file_without_row", ""),
        ("other", "scans/n 7.png", "list.csv:6", "Well", "train", "missing_file", ""),
        ("other", "scans/n 8.png", "list.csv:7", "Sick", "test", "missing_file", ""),
    ]
    # The table keeps its patients; where it has none, the list's counts.
    patients = records.set_index("listed")["patient_id"]
    assert patients[["list.csv:2", "list.csv:5", "list.csv:6"]].tolist() == ["p1", "p9", "n7"]
    assert records["image_id"].is_unique


def test_a_source_is_brought_and_its_images_keep_their_ids(tmp_path: Path) -> None:
    recipe = write_declared(tmp_path)
    before = planned(recipe)
    ran = run("plan", "--recipe", recipe, "--data", tmp_path / "data")
    assert ran.status == 3
    command = (
        f"cxrbuild fetch {quote(tmp_path / 'other.toml')} --from other=... --data {quote(tmp_path / 'data')}"
    )
    assert f"2 images of other, which is not there: {command}" in ran.err
    assert "The list ours has 6 rows: 3 kept, 1 listed_twice, 2 missing_file." in ran.out
    write_image(tmp_path / "brought" / "scans" / "n 7.png", 7)
    origin, data = f"other={tmp_path / 'brought'}", tmp_path / "d"
    ran = run("fetch", "--recipe", recipe, "--from", origin, "--data", data)
    assert ran.status == 0, ran.err
    fetch = f"cxrbuild fetch {quote(tmp_path / 'mine.toml')} --from mine=... --data"
    assert f"mine has no address. Bring it: {fetch}" in ran.out
    shutil.copytree(data / "sources" / "other", tmp_path / "data" / "sources" / "other")
    after = planned(recipe)
    brought = after[after["source_path"] == "scans/n 7.png"].iloc[0]
    assert brought["exclusion"] is pd.NA or pd.isna(brought["exclusion"])
    assert set(after["image_id"]) == set(before["image_id"])
    assert after["exclusion"].eq("missing_file").sum() == 1
    # Nobody pinned what the user brought: planned as pinned, it is what is there.
    pinned = cxrbuild.plan(recipe, tmp_path / "data", as_pinned=True)
    assert pinned.listed == {"kept": 4, "listed_twice": 1, "missing_file": 1}


def test_a_file_that_a_pinned_source_does_not_hold_has_an_exclusion_of_its_own(tmp_path: Path) -> None:
    pinned = OTHER.replace("[reader]", '[pin]\nlisting = "other.tsv"\n[reader]')
    write_declared(tmp_path, other=pinned)
    blob = "0" * 40
    (tmp_path / "other.tsv").write_text(f"mode\tblob\tpath\n100644\t{blob}\tscans/n 7.png\n")
    records = planned(tmp_path / "recipe.toml").set_index("source_path")
    assert records.loc["scans/n 7.png", "exclusion"] == "missing_file"
    assert records.loc["scans/n 8.png", "exclusion"] == "not_in_source"


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"recipe": RECIPE.replace('"ill"', '"il"')}, "'ill' (1 row) is no class of the recipe; the "),
        ({"recipe": RECIPE.replace('ours = ["well"]', 'mine = ["well"]')}, "labels.Well: 'mine' is not the "),
        ({"recipe": RECIPE.replace("allow_empty", "test = { share = 0.2 }\nallow_empty")},
         "split: test: the list under `published` gives every split"),
        ({"recipe": RECIPE.replace("ours.toml", "our.toml")}, "no such file. Write ours.toml, the nearest"),
        ({"ours": LIST.replace('"mien"', '"mine"')}, "sources: two have the name 'mine'"),
        ({"ours": LIST.replace(', "mien"', "")}, "rows of unknown sources in the list ours"),
        ({"ours": LIST.replace('source = "other"', 'source = "others"')}, "'others' is no source of the "),
        ({"ours": LIST.replace('source = "other"', "")}, "sources.1: source: missing; write the name of a "),
        ({"ours": LIST.partition("[[sources]]")[0]}, "write a table [[sources]] for each, as in source ="),
        ({"ours": LIST.replace("{number}.png", "{nr}.png")}, "path: nothing is called 'nr'; expected one of"),
        ({"ours": LIST.replace('"list.csv"', '"list.txt"')}, "a file of the list ours is not there"),
        ({"ours": LIST.replace('"list.csv"', f'"list.csv"\nsha256 = "{"0" * 64}"')},
         "not the declared file of the list ours"),
        ({"ours": LIST.replace('"list.csv"', '"list.csv"\nurl = "https://example.org/list.csv"')},
         "`url` needs `sha256`"),
        ({"ours": LIST.replace('"part"', '"parts"')}, "the list has no column 'parts'"),
        ({"ours": LIST.replace(', exam = "test"', "")}, "no known split, but 'exam'"),
        ({"rows": ROWS.replace("n7.png", "m7.png")}, "m7.png does not fit the pattern of other"),
        ({"rows": ROWS.replace("p2;well", "p2;")}, "rows of the list ours have no class"),
        ({"rows": "file;patient;class;from;part\n"}, "the list has no rows"),
    ],
)  # fmt: skip
def test_a_list_that_does_not_fit_is_a_clear_error(
    tmp_path: Path, replaced: dict[str, str], message: str
) -> None:
    recipe = write_declared(tmp_path, **replaced)
    ran = run("plan", "--recipe", recipe, "--data", tmp_path / "data", COLUMNS="2000")
    assert ran.status == 1, ran.err
    assert " ".join(message.split()) in " ".join(ran.err.split())


def test_a_list_calls_a_source_by_its_name_unless_declared_otherwise(tmp_path: Path) -> None:
    write_declared(tmp_path, ours=LIST.replace('names = ["else"]', ""))
    assert [one.names for one in read_image_list(str(tmp_path / "ours.toml")).sources] == [
        ["Mine", "mien"], ["other"],
    ]  # fmt: skip


def test_a_name_that_can_be_several_files_is_an_error(tmp_path: Path) -> None:
    recipe = write_declared(tmp_path)
    write_image(tmp_path / "data" / "sources" / "mine" / "copy" / "p2 c.png", 9)
    ran = run("plan", "--recipe", recipe, "--data", tmp_path / "data", COLUMNS="2000")
    assert ran.status == 1
    assert "list.csv:4: p2 c.png can be copy/p2 c.png, img/p2 c.png" in " ".join(ran.err.split())


def test_a_build_follows_the_list_and_is_verified(tmp_path: Path) -> None:
    recipe, out = write_declared(tmp_path), tmp_path / "build"
    several = "The list assigns 1 patient to more than one split: mine:p1"
    assert several in run("plan", "--recipe", recipe, "--data", tmp_path / "data").out
    words = ["curate", "--recipe", recipe, "--data", tmp_path / "data", "--out", out, "--workers", "1"]
    ran = run(*words, "--format", "parquet")
    assert ran.status == 3
    assert "2 images of other, which is not there" in ran.err
    ran = run(*words, "--format", "parquet", "--allow-missing")
    assert ran.status == 0, ran.err
    assert several in ran.out
    built = {path.relative_to(out).parent.as_posix() for path in (out / "images").rglob("*.jpg")}
    assert built == {"images/train/Sick", "images/test/Sick", "images/test/Well"}
    ran = run("verify", out)
    assert ran.status == 0
    assert "1 group in two splits, as the list assigns them" in " ".join(ran.out.split())
    inputs = json.loads((out / "build.json").read_text())["inputs"]
    # Another class in the list is another build.
    write_declared(tmp_path, ROWS.replace("p2;well", "p2;sick"))
    assert run(*words, "--format", "parquet", "--allow-missing").status == 3  # no image of Well is in test
    write_declared(tmp_path, ROWS + "p3_d.png;p3;sick;Mine;exam\n")
    assert run(*words, "--format", "parquet", "--allow-missing").status == 0
    assert json.loads((out / "build.json").read_text())["inputs"] != inputs
    image = read_records(out / "manifest.parquet")["image_id"].iloc[0]
    change_rows(out, image, listed=None)
    ran = run("verify", out)
    assert ran.status == 3
    assert "but listed is null" in ran.out + ran.err


def test_a_list_is_fetched_verified_and_fetched_again(tmp_path: Path, server: Server) -> None:
    declared = tmp_path / "declared"
    write_declared(declared)
    digest = cxrbuild.files.sha256_of(declared / "list.csv")
    pinned = f'"list.csv"\nurl = "{server.url}/list.csv"\nsha256 = "{digest}"'
    write_declared(declared, ours=LIST.replace('"list.csv"', pinned))
    content, data = (declared / "list.csv").read_bytes(), tmp_path / "data"
    server.answers["/list.csv"] = [Answer(content)]
    ran = run("fetch", declared / "ours.toml", "--data", data, "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["lists"]["ours"] == {"files": 1, "bytes": len(content), "downloaded": True}
    assert len(read_declared_list(read_image_list(str(declared / "ours.toml")), data)) == 6
    assert not cxrbuild.fetch([declared / "ours.toml"], data).lists["ours"].downloaded
    (data / "lists" / "ours" / "list.csv").write_bytes(content + b"x")
    ran = run("plan", "--recipe", declared / "recipe.toml", "--data", data, COLUMNS="1000")
    assert "not the declared file of the list ours" in ran.err
    assert f"Run `cxrbuild fetch {quote(declared / 'ours.toml')} --data {quote(data)}` again" in ran.err
    ran = run("fetch", declared / "ours.toml", "--from", f"ours={declared}", "--data", data)
    assert ran.status == 0, ran.err
    assert (data / "lists" / "ours" / "list.csv").read_bytes() == content


@pytest.mark.parametrize(
    ("origin", "message"),
    [("empty", "no file list.csv of the list ours"), ("other", "not the declared file of the list ours")],
)
def test_other_files_than_the_lists_are_refused(tmp_path: Path, origin: str, message: str) -> None:
    declared = tmp_path / "declared"
    pinned = f'"list.csv"\nurl = "https://example.org/list.csv"\nsha256 = "{"1" * 64}"'
    write_declared(declared, ours=LIST.replace('"list.csv"', pinned))
    (tmp_path / "empty").mkdir()
    given = declared if origin == "other" else tmp_path / "empty"
    ran = run(
        "fetch", declared / "ours.toml", "--from", f"ours={given}", "--data", tmp_path / "d", COLUMNS="999"
    )
    assert ran.status == 1
    assert " ".join(message.split()) in " ".join(ran.err.split())
    assert not (tmp_path / "d" / "lists").exists()


@pytest.fixture(scope="module")
def covidx4(shared: Path, metadata_only: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The plan of COVIDx 4 with the real lists and metadata, every pinned file taken as present."""
    data = tmp_path_factory.mktemp("covidx4")
    for name in ("cohen", "figure1", "actualmed"):
        shutil.copytree(metadata_only / "sources" / name, data / "sources" / name)
    ran = run("fetch", "covidx4", "--from", f"covidx4={shared / 'lists'}", "--data", data)
    assert ran.status == 0, ran.err
    return cxrbuild.plan("covidx4", data, as_pinned=True).records


@pytest.mark.slow
def test_every_row_of_the_open_sources_of_covidx4_is_found(shared: Path, covidx4: pd.DataFrame) -> None:
    lists = {split: shared / "lists" / f"{split}_COVIDx4.txt" for split in ("train", "test")}
    published = {
        f"{path.name}:{number}": (split, *line.split())
        for split, path in lists.items()
        for number, line in enumerate(path.read_text().splitlines(), 1)
    }
    ledger = covidx4[covidx4["listed"].notna()].set_index("listed")
    assert set(ledger.index) == set(published)
    ours = {"cohen": "cohen", "fig1": "figure1", "actmed": "actualmed", "rsna": "rsna-pneumonia"}
    found = 0
    for place, (split, _patient, file, label, *source) in published.items():
        row = ledger.loc[place]
        assert row["label"] == label
        if source and source[0] in ours:
            assert row["source"] == ours[source[0]]
        if row["exclusion"] == "listed_twice":
            assert file == "000001-27.jpg"
        else:
            assert row["split"] == split
        if row["source"] in ("cohen", "figure1", "actualmed"):
            assert row["source_path"] == f"images/{file}"
            assert row["exclusion"] != "missing_file"
            found += 1
        else:
            assert row["exclusion"] == "missing_file"
    assert found == 567
    kept = covidx4[covidx4["exclusion"].isna()]
    counts = kept.groupby(["source", "split", "label"]).size().to_dict()
    # The figures of the sources, with the row of Cohen's that names no source, and without the duplicate.
    assert counts == {
        ("cohen", "train", "COVID-19"): 395, ("cohen", "test", "COVID-19"): 39,
        ("cohen", "train", "pneumonia"): 35, ("cohen", "test", "pneumonia"): 4,
        ("figure1", "train", "COVID-19"): 24, ("figure1", "test", "COVID-19"): 11,
        ("actualmed", "train", "COVID-19"): 25, ("actualmed", "test", "COVID-19"): 33,
    }  # fmt: skip


def test_the_funnel_of_covidx4_explains_the_published_table(covidx4: pd.DataFrame) -> None:
    expect = cxrbuild.read_recipe("covidx4").expect
    listed = covidx4[covidx4["listed"].notna() & (covidx4["exclusion"] != "listed_twice")]
    counts = listed.groupby(["split", "label"]).size()
    assert {split: counts[split].to_dict() for split in ("train", "test")} == expect
    assert covidx4["exclusion"].value_counts()[["missing_file", "not_listed"]].to_dict() == {
        "missing_file": 13_631, "not_listed": 452,
    }  # fmt: skip
    assert os.environ.get("CXRBUILD_PATIENT_KEY") is None  # no source of it needs a key
