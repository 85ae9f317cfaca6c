"""A withdrawn image is an exclusion of its own: in the ledger, the diff, the changelog and the card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import run
from PIL import Image

from cxrbuild.artifact import open_build
from cxrbuild.catalog import read_source
from cxrbuild.catalog.withdrawal import read_withdrawals
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.sources import fetch
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.policy import without_identities
from cxrbuild.records import read_records

SOURCE = """
name = "mine"
title = "Mine"
license = "CC0-1.0"
withdrawn = "withdrawn.csv"

[reader]
kind = "csv"
file = "metadata.csv"
path = "images/{name}"
images = ["images/*"]
patient_id = "keep"

[columns.patient_id]
from = "patient"

[columns.finding]
from = "finding"
"""
RECIPE = """
name = "mine"
version = "1.0.0"
date = "2026-02-01"
title = "Mine"
sources = ["source.toml"]
reviews = ["reviews.csv"]

[labels]
Sick = { mine = ["sick"] }
Well = { mine = ["well"] }

[[rules]]
name = "other_finding"
kind = "labelled"
reason = "No class."

[split]
salt = "mine"
test = { count = { Sick = 1, Well = 1 } }
links = ["links.csv"]
"""
NAMES = [f"{label}{i}.png" for label in ("sick", "well") for i in range(4)]
WITHDRAWN = "images/sick0.png"


def write_world(folder: Path, names: list[str], withdrawn: str) -> None:
    """Write a source of these images, whose review and links name an image that may be withdrawn."""
    (folder / "in" / "images").mkdir(parents=True)
    draw = np.random.default_rng(5)
    pixels = {name: draw.integers(0, 255, (16, 16), np.uint8) for name in NAMES}
    for name in names:
        Image.fromarray(pixels[name]).save(folder / "in" / "images" / name)
    rows = [f"{name},p-{name[:5]},{name[:4]}\n" for name in names]
    (folder / "in" / "metadata.csv").write_text("name,patient,finding\n" + "".join(rows))
    (folder / "source.toml").write_text(SOURCE)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "withdrawn.csv").write_text("path,date,reason\n" + withdrawn)
    (folder / "reviews.csv").write_text(f"source,path,mark,marks_finding,note\nmine,{WITHDRAWN},clean,no,\n")
    (folder / "links.csv").write_text(
        "source_a,path_a,source_b,path_b,kind,note\n"
        f"mine,images/sick1.png,mine,{WITHDRAWN},same patient,\n"
        f"mine,{WITHDRAWN},mine,images/sick2.png,same patient,\n"
    )


def build(folder: Path) -> Path:
    fetched = run("fetch", "source.toml", "--from", "mine=in", "--allow-unpinned", "--quiet", cwd=folder)
    assert fetched.status == 0, fetched.err
    ran = run("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build", cwd=folder)
    assert ran.status == 0, ran.err
    return folder / "build"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a build, and one after the source withdrew an image and removed its file and row."""
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    write_world(before, NAMES, "")
    write_world(after, NAMES[1:], f"{WITHDRAWN},2026-02-28,consent withdrawn\n")
    return build(before), build(after)


def test_the_ledger_keeps_a_row_for_a_withdrawn_image(builds: tuple[Path, Path]) -> None:
    ledger = read_records(builds[1] / "ledger.parquet").set_index("source_path")
    row = ledger.loc[WITHDRAWN]
    assert (row["exclusion"], row["exclusion_detail"]) == ("withdrawn", "2026-02-28: consent withdrawn")
    assert ledger["exclusion"].notna().sum() == 1
    # The links through the withdrawn image still connect the others.
    assert ledger.loc["images/sick1.png", "group"] == ledger.loc["images/sick2.png", "group"]
    document = json.loads((builds[1] / "build.json").read_text())
    assert document["missing"] == {}


def test_diff_says_that_an_image_was_withdrawn(builds: tuple[Path, Path]) -> None:
    ran = run("diff", *builds, "--json")
    removed = json.loads(ran.out)["removed"]
    assert [row["reason"] for row in removed] == ["withdrawn (2026-02-28: consent withdrawn)"]


def test_changelog_and_card_say_that_an_image_was_withdrawn(
    builds: tuple[Path, Path], tmp_path: Path
) -> None:
    for version, folder, more in (
        ("1.0.0", builds[0], []),
        ("2.0.0", builds[1], ["--previous", tmp_path / "1"]),
    ):
        out = tmp_path / version[0]
        ran = run("release", version, "--build", folder, "--out", out, "--policy", "private", *more)
        assert ran.status == 0, ran.err
    assert "withdrawn (2026-02-28: consent withdrawn)" in (tmp_path / "2" / "CHANGELOG.md").read_text()
    assert "| withdrawn | 1 |" in (tmp_path / "2" / "README.md").read_text()


def test_a_public_release_has_the_day_of_a_withdrawal_alone_unless_the_source_is_public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "0123456789abcdef0123456789abcdef")
    reason = "asked: by the patient"
    for public, detail in ((False, "2026-02-28"), (True, f"2026-02-28: {reason}")):
        folder = tmp_path / str(public)
        folder.mkdir()
        write_world(folder, NAMES[1:], f"{WITHDRAWN},2026-02-28,{reason}\n")
        access = f"public = {str(public).lower()}\n"
        source = access + SOURCE.replace('"keep"', '"hash"')
        (folder / "source.toml").write_text(source)
        opened = open_build(build(folder))
        records = read_records(folder / "build" / "ledger.parquet")
        found = without_identities(records, opened.document, "public").set_index("exclusion")
        assert found.loc["withdrawn", "exclusion_detail"] == detail
        assert found["exclusion_note"].dropna().tolist() == ([reason] if public else [])
        assert records["exclusion_note"].dropna().tolist() == [reason]
        # A build of an earlier version does not say what a person wrote: nothing of it is published.
        earlier = without_identities(records.assign(exclusion_note=None), opened.document, "public")
        assert earlier.set_index("exclusion").loc["withdrawn"].fillna("")["exclusion_detail"] == (
            detail if public else ""
        )


@pytest.mark.parametrize("kept", [True, False])
def test_a_withdrawn_image_is_excluded_whether_or_not_its_file_and_row_are_there(
    tmp_path: Path, kept: bool
) -> None:
    write_world(tmp_path, NAMES if kept else NAMES[1:], f"{WITHDRAWN},2026-02-28,error\n")
    source = read_source("source.toml", tmp_path)
    records = ingest(source, take_inventory(source, tmp_path / "in")).set_index("source_path")
    assert len(records) == len(NAMES)
    assert records["exclusion"].dropna().to_dict() == {WITHDRAWN: "withdrawn"}
    assert records["image_id"].is_unique


@pytest.mark.parametrize("present", [True, False])
def test_a_pinned_source_stays_verified_without_its_withdrawn_file(tmp_path: Path, present: bool) -> None:
    write_world(tmp_path, NAMES, "")
    origin, data = str(tmp_path / "in"), tmp_path / "data"
    locked = (
        fetch([read_source("source.toml", tmp_path)], data, origins={"mine": origin}).sources["mine"].locked
    )
    (tmp_path / "mine.tsv").write_text((data / "sources" / "mine.tsv").read_text())
    with (tmp_path / "source.toml").open("a") as stream:
        stream.write(f'[pin]\ntree = "{locked.tree}"\nlisting = "mine.tsv"\n')
    if not present:
        shutil.rmtree(data)
    for folder in (tmp_path / "in", data / "sources" / "mine"):
        (folder / WITHDRAWN).unlink(missing_ok=True)
    with pytest.raises(CxrbuildError, match=f"1 missing: {WITHDRAWN}"):
        fetch([read_source("source.toml", tmp_path)], data, origins={"mine": origin})
    (tmp_path / "withdrawn.csv").write_text(f"path,date,reason\n{WITHDRAWN},2026-02-28,consent withdrawn\n")
    source = read_source("source.toml", tmp_path)
    verified = fetch([source], data, origins={"mine": origin}).sources["mine"].locked
    assert (verified.proof, verified.unpinned, verified.missing) == ("git tree", False, [])
    assert verified.tree != locked.tree
    # Any other difference is found all the same.
    other = data / "sources" / "mine" / "images" / NAMES[-1]
    other.write_bytes(b"other")
    (Path(origin) / "images" / NAMES[-1]).write_bytes(b"other")
    with pytest.raises(CxrbuildError, match=f"1 different: images/{NAMES[-1]}"):
        fetch([source], data, origins={"mine": origin})


def test_all_problems_of_withdrawals_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "withdrawn.csv"
    lines = ["a.png,2026-02-28,error", ",2026-02-28,error", "b.png,28.2.2026,error", "c.png,2026-02-28,",
             "a.png,2026-02-28,error", "d.png"]  # fmt: skip
    file.write_text("path,date,reason\n" + "".join(f"{line}\n" for line in lines))
    with pytest.raises(CxrbuildError) as error:
        read_withdrawals(file)
    message = str(error.value)
    for problem in ("line 3: no path", "line 4: ", "line 5: no reason", "line 6: a.png is in line 2 already",
                    "line 7: 1 cell, not 3"):  # fmt: skip
        assert problem in message
