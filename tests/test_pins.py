"""A newer version of a source becomes a proposed pin, with a table of what changed and what is released."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from command import run
from dicom_files import dicom, ramp
from file_server import Answer, Server

import cxrbuild
from cxrbuild.catalog import read_source
from cxrbuild.fetching.pin import files_on_disk
from cxrbuild.fetching.record import format_record, git_tree_of
from cxrbuild.pins import read_source_version
from cxrbuild.progress import silent
from cxrbuild.records import conform, image_id, write_records

OLD, NEW = "1" * 40, "2" * 40
DECLARED = """# A comment that stays.
name = "mine"
title = "Mine"
public = true

[download]
url = "https://example.org/{commit}.tar.gz"
strip = 1

[pin]
commit = "{commit}"
tree = "{tree}"
listing = "mine.tsv"

[reader]
kind = "csv"
file = "metadata.csv"
header = ["name", "finding", "who", "licence"]
path = "images/{{name}}"
images = ["images/*"]
patient_id = "keep"

[columns.finding]
from = "finding"

[columns.patient_id]
from = "who"

[columns.license]
from = "licence"
blank = [""]
map = {{ "CC BY" = "CC-BY-4.0" }}
"""
ROWS = [
    ("a.png", "sick", "p1", ""), ("b.png", "well", "p2", ""), ("c.png", "well", "p2", "CC BY"),
    ("d.png", "sick", "p3", ""), ("e.png", "sick", "p4", ""),
]  # fmt: skip
CHANGED = [
    ("a.png", "well", "p1", "CC BY"), ("b.png", "well", "q2", ""), ("c.png", "well", "q2", "CC BY"),
    ("d.png", "sick", "p3", ""), ("g.png", "sick", "p4", ""), ("h.png", "sick", "p5", ""),
]  # fmt: skip


def write_version(
    folder: Path,
    rows: list[tuple[str, ...]],
    images: dict[str, bytes],
    header: str = "name,finding,who,licence",
) -> Path:
    (folder / "images").mkdir(parents=True)
    for name, content in images.items():
        (folder / "images" / name).write_bytes(content)
    lines = [header, *(",".join(row) for row in rows)]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A source that is pinned and fetched, and a newer version of it in `new`."""
    return make_world(tmp_path)


def make_world(tmp_path: Path) -> Path:
    """Write and fetch a source and a newer version of it, as `world` has them."""
    files = {name: name.encode() for name in ("a.png", "b.png", "c.png", "d.png", "e.png", "f.png")}
    old = write_version(tmp_path / "old", ROWS, files)
    pinned = files_on_disk(old, {}, title="", progress=silent)
    declared = tmp_path / "declared"
    declared.mkdir()
    (declared / "mine.tsv").write_text(format_record(pinned), encoding="utf-8")
    (declared / "mine.toml").write_text(
        DECLARED.format(commit=OLD, tree=git_tree_of(pinned)), encoding="utf-8"
    )
    data = tmp_path / "data"
    assert run("fetch", declared / "mine.toml", "--from", f"mine={old}", "--data", data).status == 0
    # d has other bytes, e is called g, f left, h is new.
    changed = {name: files[name] for name in ("a.png", "b.png", "c.png")}
    write_version(tmp_path / "new", CHANGED, changed | {"d.png": b"D", "g.png": b"e.png", "h.png": b"h"})
    return tmp_path


def propose(world: Path, *words: object) -> dict:
    ran = run(
        "fetch", "--propose-pin", world / "declared" / "mine.toml", "--data", world / "data", "--json", *words
    )
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


@pytest.mark.parametrize("public", [True, False])
def test_every_change_is_in_the_table_and_marked_if_released(world: Path, public: bool) -> None:
    """A public release of a source that is not public has ids for the paths."""
    ids = [image_id("mine", path, named=public) for path in ("images/f.png", "images/a.png")]
    released = pd.DataFrame(
        {"image_id": ids, "source": "mine", "label": "sick", "split": "train", "source_path": ids}
    )
    write_records(world / "manifest.parquet", conform(released))
    result = propose(world, "--from", f"mine={world / 'new'}", "--released", world / "manifest.parquet")
    in_release = str(world / "manifest.parquet")
    rows = [tuple(row[key] for key in ("change", "path", "old", "new", "released")) for row in
            result["diff"]["changes"]]  # fmt: skip
    blob = {
        path: file.blob for path, file in files_on_disk(world / "old", {}, title="", progress=silent).items()
    }
    new = {
        path: file.blob for path, file in files_on_disk(world / "new", {}, title="", progress=silent).items()
    }
    assert rows == [
        ("removed", "images/f.png", blob["images/f.png"], "", in_release),
        ("moved", "images/e.png", "images/e.png", "images/g.png", ""),
        ("added", "images/h.png", "", new["images/h.png"], ""),
        ("changed", "images/d.png", blob["images/d.png"], new["images/d.png"], ""),
        ("relabelled", "images/a.png", "sick", "well", in_release),
        ("patient_renamed", "images/b.png", "p2", "q2", ""),
        ("patient_renamed", "images/c.png", "p2", "q2", ""),
        ("license_changed", "images/a.png", "", "CC BY", in_release),
    ]
    assert result["diff"]["patients_renamed"] == 1
    assert result["diff"]["left_released"] == 1
    (problem,) = result["problems"]
    assert problem.endswith(
        "download.url is the address of the old version. Name the commit of the new one with --commit if it "
        "has one; if not, write its address there, or remove the line"
    )
    folder = Path(result["folder"])
    assert folder.parent == world / "declared"
    with (folder / "changes.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == result["diff"]["changes"]
    # The data folder and the old pin are as they were.
    assert (world / "data" / "sources" / "mine" / "images" / "f.png").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, "mine.toml", "mine.tsv"]


def test_the_proposed_pin_can_be_fetched_compared_and_proposed_from(world: Path) -> None:
    result = propose(world, "--from", f"mine={world / 'new'}")
    declared = result["declaration"]
    text = Path(declared).read_text(encoding="utf-8")
    assert text.startswith("# A comment that stays.")
    assert read_source(declared).pin.tree == result["tree"]
    # The metadata of the proposal is enough to compare it, without any image.
    shutil.rmtree(world / "new" / "images")
    ran = run("diff", world / "declared" / "mine.toml", declared, "--data", world / "data", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["changes"] == result["diff"]["changes"]
    back = cxrbuild.diff_sources(declared, world / "declared" / "mine.toml", world / "data")
    assert back.counts() == {
        "removed": 1, "moved": 1, "added": 1, "changed": 1, "relabelled": 1, "patient_renamed": 2,
        "license_changed": 1,
    }  # fmt: skip
    ran = run("diff", declared, declared, "--data", world / "data")
    assert "Nothing changed." in ran.out
    write_version(world / "again", CHANGED, {name: b"x" for name, *_ in CHANGED})
    ran = run(
        "fetch", "--propose-pin", declared, "--from", f"mine={world / 'again'}", "--data", world / "none"
    )
    assert ran.status == 0, ran.err
    assert "images with other bytes" in ran.out


def archived(folder: Path, commit: str) -> bytes:
    """Return an archive as a forge makes it: one top folder, the commit as the global comment."""
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": commit}
    ) as tar:
        tar.add(folder, arcname="mine-1")
    return stream.getvalue()


@pytest.mark.usefixtures("quick_retries")
def test_a_newer_commit_is_fetched_and_declared(world: Path, server: Server) -> None:
    declared = world / "declared" / "mine.toml"
    declared.write_text(declared.read_text().replace("https://example.org", server.url))
    server.answers[f"/{NEW}.tar.gz"] = [Answer(archived(world / "new", NEW))]
    result = propose(world, "--commit", NEW)
    source = read_source(result["declaration"])
    assert source.download.url == f"{server.url}/{NEW}.tar.gz"
    assert source.pin.commit == NEW
    assert result["problems"] == []
    fetched = cxrbuild.fetch([source], world / "fresh")
    assert not fetched.sources["mine"].locked.unpinned
    # An archive says itself which commit it is of.
    (world / "mine.tar.gz").write_bytes(archived(world / "new", NEW))
    again = propose(world, "--from", f"mine={world / 'mine.tar.gz'}", "--out", world / "other")
    assert Path(again["declaration"]).read_text() == Path(result["declaration"]).read_text()


def test_every_address_of_the_old_commit_is_changed_or_reported(world: Path) -> None:
    """`fetch --pin` drops the commit of the pin, and leaves the addresses."""
    declared = world / "declared" / "mine.toml"
    mirror = f'[download.mirrors]\nbackup = "https://mirror.org/{OLD}.zip"\n\n[pin]'
    text = declared.read_text().replace(f'commit = "{OLD}"\n', "").replace("[pin]", mirror)
    declared.write_text(text)
    named = propose(world, "--from", f"mine={world / 'new'}", "--out", world / "unnamed")
    assert [one.partition(": ")[2].partition(" is ")[0] for one in named["problems"]] == [
        "download.url", "download.mirrors.backup",
    ]  # fmt: skip
    archive = world / "mine.tar.gz"
    archive.write_bytes(archived(world / "new", NEW))
    result = propose(world, "--from", f"mine={archive}")
    source = read_source(result["declaration"])
    assert result["problems"] == []
    assert source.download.url == f"https://example.org/{NEW}.tar.gz"
    assert source.download.mirrors == {"backup": f"https://mirror.org/{NEW}.zip"}
    assert Path(result["declaration"]).read_text().startswith("# A comment that stays.")


def test_another_layout_is_declared_and_what_it_lacks_is_reported(world: Path) -> None:
    header = "name,finding,who,rights"
    write_version(world / "next", CHANGED, {name: b"x" for name, *_ in CHANGED}, header)
    result = propose(world, "--from", f"mine={world / 'next'}", "--out", world / "out")
    assert result["diff"]["absent_columns"] == [f"{result['declaration']}: licence"]
    source = read_source(result["declaration"])
    assert source.reader.model_dump()["header"] == header.split(",")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "mine={}/old"], "nothing to propose: these files are the pinned version"),
        (["--from", "mine={}/lost"], "no such file or folder"),
        ([], "the place of the new version is not given"),
        (["--listing", "{}/listing.tsv"], "a listing needs a folder with the metadata"),
        (["--listing", "{}/bad.tsv", "--from", "mine={}/new"], "bad.tsv, line 1: not a listing of files"),
        (["--listing", "{}/listing.tsv", "--from", "mine={}/old"], "the metadata is of another version"),
        (["--from", "mine={}/new", "--commit", OLD], "these files are not those of the commit"),
        (["--from", "mine={}/new", "--commit", "dec94e31"], "the 40 hexadecimal digits of a commit"),
    ],
)
def test_a_proposal_that_cannot_be_made_is_a_clear_error(world: Path, words: list[str], message: str) -> None:
    files = files_on_disk(world / "new", {}, title="", progress=silent)
    (world / "listing.tsv").write_text(format_record(files), encoding="utf-8")
    (world / "bad.tsv").write_text("images/a.png\n", encoding="utf-8")
    before = sorted(path for path in (world / "declared").rglob("*"))
    ran = run("fetch", "--propose-pin", world / "declared" / "mine.toml", "--data", world / "data",
              *(word.format(world) for word in words), COLUMNS="999")  # fmt: skip
    assert ran.status == 1, ran.out
    assert " ".join(message.split()) in " ".join(ran.err.split())
    assert sorted(path for path in (world / "declared").rglob("*")) == before


def test_only_versions_of_one_source_are_compared(metadata_only: Path) -> None:
    ran = run("diff", "cohen", "figure1", "--data", metadata_only)
    assert ran.status == 1
    assert "two sources, not two versions of one. Found: cohen and figure1" in " ".join(ran.err.split())
    ran = run("diff", "cohen", "rsna-pneumonia", "--data", metadata_only)
    assert ran.status == 1
    assert "the source lists no files to compare" in " ".join(ran.err.split())


def test_options_of_a_proposal_need_one(tmp_path: Path) -> None:
    assert run("fetch", "cohen", "--commit", NEW, "--data", tmp_path).status == 2
    assert run("fetch", "cohen", "--propose-pin", "cohen", "--data", tmp_path).status == 2


def test_numbers_that_are_hashed_are_not_shown(world: Path) -> None:
    declared = world / "declared" / "mine.toml"
    declared.write_text(declared.read_text().replace('patient_id = "keep"', 'patient_id = "hash"'))
    result = propose(world, "--from", f"mine={world / 'new'}")
    renamed = [row for row in result["diff"]["changes"] if row["change"] == "patient_renamed"]
    assert len(renamed) == 2
    assert {(row["old"], row["new"]) for row in renamed} == {("", "")}


def test_numbers_that_one_declaration_hashes_are_not_shown(world: Path) -> None:
    proposed = Path(propose(world, "--from", f"mine={world / 'new'}")["declaration"])
    for hashing, keeping in (
        (proposed, world / "declared/mine.toml"),
        (world / "declared/mine.toml", proposed),
    ):
        for path, kind in ((hashing, "hash"), (keeping, "keep")):
            path.write_text(re.sub('patient_id = "[a-z]+"', f'patient_id = "{kind}"', path.read_text()))
        ran = run("diff", world / "declared/mine.toml", proposed, "--data", world / "data", "--json")
        renamed = [r for r in json.loads(ran.out)["changes"] if r["change"] == "patient_renamed"]
        assert len(renamed) == 2
        assert {(row["old"], row["new"]) for row in renamed} == {("", "")}


def test_findings_of_several_columns_are_joined_as_a_plan_joins_them(world: Path) -> None:
    declared = world / "declared" / "mine.toml"
    text = declared.read_text().replace("[columns.finding]\nfrom", "[columns.finding]\ncolumns")
    text = text.replace('columns = "finding"', 'columns = ["sick", "well"]').replace(
        "public = true", 'public = true\nfinding_separator = "|"'
    )
    text = text.replace('["name", "finding", "who", "licence"]', '["name", "sick", "well"]')
    text = text[: text.index("[columns.patient_id]")]
    text = text.replace("[reader]", '[reader]\ndiffering_rows = "join"')
    images = {"a.png": b"a", "b.png": b"b", "c.png": b"c"}
    header = "name,sick,well"
    old_rows = [("a.png", "1", "0"), ("b.png", "0", "1"), ("c.png", "0", "1")]
    old = write_version(world / "wide", old_rows, images, header)
    pinned = files_on_disk(old, {}, title="", progress=silent)
    (declared.parent / "mine.tsv").write_text(format_record(pinned))
    declared.write_text(re.sub('tree = "[0-9a-f]+"', f'tree = "{git_tree_of(pinned)}"', text))
    words = ("--data", world / "wide-data")
    assert run("fetch", declared, "--from", f"mine={old}", *words).status == 0
    new_rows = [("a.png", "1", "0"), ("b.png", "0", "0"), ("c.png", "1", "1"), ("a.png", "0", "1")]
    new = write_version(world / "wider", new_rows, images, header)
    result = propose(world, "--from", f"mine={new}", *words)
    changed = [
        (r["path"], r["old"], r["new"]) for r in result["diff"]["changes"] if r["change"] == "relabelled"
    ]
    assert changed == [
        ("images/a.png", "sick", "sick|well"),
        ("images/b.png", "well", ""),
        ("images/c.png", "well", "sick|well"),
    ]


def images_of(tree: Path) -> dict[str, str]:
    rows = [line.split("\t") for line in tree.read_text(encoding="utf-8").splitlines()[1:]]
    return {path: blob for _, blob, path in rows if path.startswith("images/")}


def test_two_revisions_of_cohen_are_compared_without_an_image(
    shared: Path, metadata_only: Path, tmp_path: Path
) -> None:
    history, versions = shared / "history", {}
    for day in ("2020-05-15-876e6fe3", "2020-05-31-dec94e31"):
        (tmp_path / day).mkdir()
        shutil.copy(history / f"cohen-metadata-{day}.csv", tmp_path / day / "metadata.csv")
        versions[day] = cxrbuild.propose_pin(
            "cohen", metadata_only, tmp_path / "pins", origin=str(tmp_path / day),
            listing=history / f"cohen-tree-{day}.tsv",
        )  # fmt: skip
    first, second = versions.values()
    a, b = (images_of(history / f"cohen-tree-{day}.tsv") for day in versions)
    diff = cxrbuild.diff_sources(first.declaration, second.declaration, tmp_path)
    assert diff.images == (len(a), len(b)) == (355, 541)
    moved = {a[path] for path in a.keys() - b.keys()} & {b[path] for path in b.keys() - a.keys()}
    assert diff.counts() == {
        "removed": len(a.keys() - b.keys()) - len(moved), "added": len(b.keys() - a.keys()) - len(moved),
        "metadata_changed": 7,
    } == {"removed": 5, "added": 191, "metadata_changed": 7}  # fmt: skip
    assert not any(a[path] != b[path] for path in a.keys() & b.keys())
    # Of the images of the published dataset, the pin has more than the older revisions.
    assert [len(one.diff.left_released) for one in (first, second)] == [184, 93]
    assert "'AP semi erect' is unknown to columns.view_position" in first.problems[1]


def test_rows_that_find_their_images_by_headers_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The modality is in the headers alone, and the rows find their images by an accession number."""
    monkeypatch.chdir(tmp_path)
    for version, finding in (("old", "sick"), ("new", "well")):
        folder = tmp_path / version
        folder.mkdir()
        for n in range(4):
            header = {"PatientID": f"00{n}", "AccessionNumber": f"A{n // 2}", "Modality": "DX"}
            (folder / f"{n}.dcm").write_bytes(dicom(ramp(0, 4000 + n), SOPInstanceUID=f"1.2.{n}", **header))
        (folder / "ris.csv").write_text(f"number,finding\nA0,{finding}\nA1,well\n")
    (tmp_path / "ward.toml").write_text(
        'name = "ward"\ntitle = "Ward"\nlicense = "unknown"\n[reader]\nkind = "csv"\nfile = "ris.csv"\n'
        'header = ["number", "finding"]\naccession_number = "{number}"\nimages = ["*.dcm"]\n'
        '[columns.finding]\nfrom = "finding"\n[columns.modality]\nfrom = "Modality"\nmap = { DX = "DX" }\n'
    )
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "sixteen-characters-and-more")
    assert run("fetch", "ward.toml", "--from=ward=old", "--pin").status == 0
    monkeypatch.delenv("CXRBUILD_PATIENT_KEY")
    ran = run("fetch", "--propose-pin", "ward.toml", "--from=ward=new", "--json")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    assert document["problems"] == []
    assert document["diff"]["absent_columns"] == []
    # Both images of the study.
    assert document["diff"]["counts"] == {"relabelled": 2}
    # The proposed pin has the table alone, whose rows find no image: that is no removed metadata.
    ran = run("diff", "ward.toml", document["declaration"])
    assert "Not compared, as it is not there" in ran.out
    assert "metadata was removed" not in ran.out


def test_changes_fit_a_narrow_terminal(world: Path) -> None:
    """Paths stay whole, to be copied; hashes have their first digits."""
    words = ("--from", f"mine={world / 'new'}", "--data", world / "data", "--out", world / "narrow")
    ran = run("fetch", "--propose-pin", world / "declared" / "mine.toml", *words, COLUMNS="60")
    assert ran.status == 0, ran.err
    changes = ran.out[ran.out.index("\nImages ") : ran.out.index("\nProposed: ")]
    assert "images/" in changes
    assert max(map(len, changes.splitlines())) <= 60
    assert not re.search(r"[0-9a-f]{13}", changes)


def test_a_folder_called_metadata_is_that_of_a_proposal_alone(world: Path) -> None:
    """A user may have one next to the declaration, with other tables or an older one of the same name."""
    declared = world / "declared" / "mine.toml"
    before = read_source_version(str(declared), world / "data")
    own = world / "declared" / "metadata"
    own.mkdir()
    (own / "notes.txt").write_text("ours")
    assert read_source_version(str(declared), world / "data").values.equals(before.values)
    (own / "metadata.csv").write_text("name,finding,who,licence\n")
    assert read_source_version(str(declared), world / "data").values.equals(before.values)
    proposed = propose(world, "--from", f"mine={world / 'new'}")["declaration"]
    values = read_source_version(proposed, world / "data").values
    assert values.loc["images/a.png", "finding"] == "well"
    assert before.values.loc["images/a.png", "finding"] == "sick"
