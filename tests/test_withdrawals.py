"""A withdrawn image is an exclusion of its own: in the ledger, the diff, the changelog and the card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import run
from dicom_files import dicom, ramp
from PIL import Image

import cxrbuild
from cxrbuild.artifact import AuditDocument, open_build
from cxrbuild.catalog import read_source
from cxrbuild.catalog.withdrawal import read_withdrawals
from cxrbuild.curation import build_document, describe_kept_duplicates
from cxrbuild.curation.withdrawn_copies import withdraw_copies
from cxrbuild.curation.withdrawn_since import require_not_withdrawn_since
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.sources import fetch
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.policy import without_identities
from cxrbuild.progress import Silent
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing.forecast import foresee

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
SHARE = "test = { share = 0.4 }\nallow_empty = { train = ['Sick', 'Well'], test = ['Sick', 'Well'] }"
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


def withdraw(folder: Path, reason: str) -> None:
    """Pin the source, and again after it withdrew an image and removed its file and row."""
    fetch_and_pin(folder)
    (folder / "in" / WITHDRAWN).unlink()
    metadata = folder / "in" / "metadata.csv"
    rows = metadata.read_text().splitlines(keepends=True)
    metadata.write_text("".join(row for row in rows if "sick0" not in row))
    (folder / "withdrawn.csv").write_text(f"path,date,reason\n{WITHDRAWN},2026-02-28,{reason}\n")
    fetch_and_pin(folder)


def fetch_and_pin(folder: Path) -> None:
    given = ("--from", "mine=in", "--pin", "--allow-unpinned", "--quiet")
    fetched = run("fetch", "source.toml", *given, cwd=folder)
    assert fetched.status == 0, fetched.err


def build(folder: Path) -> Path:
    fetch_and_pin(folder)
    ran = run("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build", cwd=folder)
    assert ran.status == 0, ran.err
    return folder / "build"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a build, and one after the source withdrew an image and removed its file and row."""
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    write_world(before, NAMES, "")
    write_world(after, NAMES, "")
    (after / "recipe.toml").write_text(RECIPE.replace('version = "1.0.0"', 'version = "2.0.0"'))
    withdraw(after, "consent withdrawn")
    return build(before), build(after)


def test_the_ledger_keeps_a_row_for_a_withdrawn_image(builds: tuple[Path, Path]) -> None:
    ledger = read_records(builds[1] / "ledger.parquet").set_index("source_path")
    row = ledger.loc[WITHDRAWN].dropna()
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
        image = read_records(out / "ledger.parquet").set_index("source_path")["image_id"][WITHDRAWN]
        if version == "1.0.0":
            # As a release says that has one before it.
            with (out / "CHANGELOG.md").open("a") as stream:
                stream.write(
                    f"- 2 rows with other metadata:\n  - {image} (finding sick -> well)\n  - other (a -> b)\n"
                    f"- Source mine:\n  - corrections.{image}.finding: added sick -> well\n"
                )
    assert "p-sick0" not in str(read_records(out / "ledger.parquet").to_dict())
    said = (tmp_path / "2" / "CHANGELOG.md").read_text()
    assert f"  - {image} (train Sick): withdrawn (2026-02-28: consent withdrawn)\n" in said
    # What an earlier version said of the image is said no more.
    assert f"  - {image} (withdrawn since)\n  - other (a -> b)\n- Source mine:\n" in said
    assert said.count(f"  - {image} (withdrawn since)") == 2
    assert "sick -> well" not in said
    assert "| withdrawn | 1 |" in (tmp_path / "2" / "README.md").read_text()


def test_a_public_release_has_the_day_of_a_withdrawal_alone_unless_the_source_is_public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "0123456789abcdef0123456789abcdef")
    reason = "asked: by the patient"
    for public, detail in ((False, "2026-02-28"), (True, f"2026-02-28: {reason}")):
        folder = tmp_path / str(public)
        folder.mkdir()
        write_world(folder, NAMES, "")
        access = f"public = {str(public).lower()}\n"
        source = access + SOURCE.replace('"keep"', '"hash"')
        (folder / "source.toml").write_text(source)
        withdraw(folder, reason)
        planned = cxrbuild.plan(folder / "recipe.toml", folder / "data")
        records, declared = planned.records, build_document(planned)
        found = without_identities(records, declared, "public").set_index("exclusion")
        assert found.loc["withdrawn", "exclusion_detail"] == detail
        assert found["exclusion_note"].dropna().tolist() == ([reason] if public else [])
        assert records["exclusion_note"].dropna().tolist() == [reason]
        # A build of an earlier version does not say what a person wrote: nothing of it is published.
        earlier = without_identities(records.assign(exclusion_note=None), declared, "public")
        assert earlier.set_index("exclusion").loc["withdrawn"].fillna("")["exclusion_detail"] == (
            detail if public else ""
        )


@pytest.mark.parametrize("kept", [True, False])
def test_a_withdrawn_image_is_excluded_whether_or_not_its_file_and_row_are_there(
    tmp_path: Path, kept: bool
) -> None:
    write_world(tmp_path, NAMES, f"{WITHDRAWN},2026-02-28,error\n")
    if not kept:
        withdraw(tmp_path, "error")
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
    with pytest.raises(CxrbuildError, match=f"1 image missing: {WITHDRAWN}"):
        fetch([read_source("source.toml", tmp_path)], data, origins={"mine": origin})
    (tmp_path / "withdrawn.csv").write_text(f"path,date,reason\n{WITHDRAWN},2026-02-28,consent withdrawn\n")
    source = read_source("source.toml", tmp_path)
    verified = fetch([source], data, origins={"mine": origin}).sources["mine"].locked
    assert (verified.proof, verified.unpinned, verified.missing) == ("git tree", False, [])
    assert verified.tree != locked.tree
    exactness = fetch([source], data, origins={"mine": origin}).sources["mine"].exactness
    assert (exactness.verified, exactness.missing) == (len(NAMES) - 1, 0)
    # Any other difference is found all the same.
    other = data / "sources" / "mine" / "images" / NAMES[-1]
    other.write_bytes(b"other")
    (Path(origin) / "images" / NAMES[-1]).write_bytes(b"other")
    with pytest.raises(CxrbuildError, match=f"1 image with other bytes: images/{NAMES[-1]}") as refused:
        fetch([source], data, origins={"mine": origin})
    # The withdrawn file is absent on purpose: no message, record or count calls it missing.
    assert "missing" not in str(refused.value)
    accepted = fetch([source], data, origins={"mine": origin}, allow_unpinned=True).sources["mine"]
    assert (accepted.locked.missing, list(accepted.locked.different)) == ([], [f"images/{NAMES[-1]}"])
    assert accepted.exactness.counts == {
        "verified": len(NAMES) - 2, "other_bytes": 1, "name_only": 0, "missing": 0, "not_pinned": 0,
    }  # fmt: skip


def test_all_problems_of_withdrawals_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "withdrawn.csv"
    lines = ["a.png,2026-02-28,error,7", ",2026-02-28,error,", "b.png,28.2.2026,error,", "c.png,2026-02-28,,",
             "a.png,2026-02-28,error,", "d.png", ",2026-02-28,error,7", ",2026-02-28,error,7"]  # fmt: skip
    file.write_text("path,date,reason,patient\n" + "".join(f"{line}\n" for line in lines))
    with pytest.raises(CxrbuildError) as error:
        read_withdrawals(file)
    message = str(error.value)
    for problem in ("line 3: no path, patient or blob", "line 4: ", "line 5: no reason",
                    "line 6: a.png is in line 2 already", "line 7: 1 cell, not 4",
                    "line 9: the patient is in line 8 already"):  # fmt: skip
        assert problem in message


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("images/sick00.png", "(the nearest path is images/sick0.png)"),
        ("sick1.png", "(the nearest path is images/sick1.png)"),
        ("images/SICK1.png", "(the file is images/sick1.png)"),
        ("images/Rückseite.tif", "images/Rückseite.tif."),
    ],
)
def test_a_misspelt_withdrawal_is_refused_and_withdraws_nothing(
    tmp_path: Path, written: str, near: str
) -> None:
    write_world(tmp_path, NAMES, f"{WITHDRAWN},2026-02-28,error\n{written},2026-02-28,error\n")
    pinned = run("fetch", "source.toml", "--from", "mine=in", "--pin", cwd=tmp_path)
    planned = run("plan", "--recipe", "recipe.toml", cwd=tmp_path)
    for ran in (pinned, planned):
        assert ran.status == 1
        message = " ".join(ran.err.split())
        assert "withdrawn.csv: 1 withdrawal of images that the source does not have" in message
        assert f"{written} {near}".replace(f"{written} {written}", written) in message


def test_an_image_of_an_earlier_pin_stays_nameable(tmp_path: Path) -> None:
    """Upstream removed it, and the source was pinned again before the withdrawal was declared."""
    write_world(tmp_path, NAMES, "")
    fetch_and_pin(tmp_path)
    first = read_source("source.toml", tmp_path).pin.tree
    (tmp_path / "in" / WITHDRAWN).unlink()
    metadata = tmp_path / "in" / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("sick0.png,p-sick0,sick\n", ""))
    fetch_and_pin(tmp_path)
    second = read_source("source.toml", tmp_path).pin.tree
    other = "images/well3.png"
    (tmp_path / "in" / other).unlink()
    metadata.write_text(metadata.read_text().replace("well3.png,p-well3,well\n", ""))
    fetch_and_pin(tmp_path)
    source = read_source("source.toml", tmp_path)
    # The last pin that had each of them.
    assert source.former == {WITHDRAWN: first, other: second}
    assert source.listing is not None
    assert not source.former.keys() & source.listing.keys()
    (tmp_path / "withdrawn.csv").write_text(
        f"path,date,reason\n{WITHDRAWN},2026-02-28,error\n{other},2026-02-28,error\n"
    )
    fetch_and_pin(tmp_path)
    ran = run("plan", "--recipe", "recipe.toml", "--json", cwd=tmp_path)
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    assert document["unpinned"] == []
    assert {step["step"]: step["images"] for step in document["funnel"]}["withdrawn"] == 2


def test_nothing_of_a_withdrawn_image_is_kept_but_which_it_is_and_why_it_left(tmp_path: Path) -> None:
    write_world(tmp_path, NAMES, f"{WITHDRAWN},2026-02-28,consent withdrawn\n")
    built = build(tmp_path)
    ledger = read_records(built / "ledger.parquet").set_index("source_path")
    row = ledger.loc[WITHDRAWN].dropna().to_dict()
    assert row.pop("image_id").startswith("mine_")
    assert row == {
        "source": "mine", "license": "CC0-1.0", "group": f"mine/{WITHDRAWN}",
        "exclusion": "withdrawn", "exclusion_detail": "2026-02-28: consent withdrawn",
        "exclusion_note": "consent withdrawn",
    }  # fmt: skip
    funnel = {step.step: step.images for step in open_build(built).document.funnel}
    assert funnel["upstream"] == len(NAMES) == funnel["kept"] + funnel["withdrawn"]
    assert run("verify", built).status == 0


@pytest.mark.usefixtures("without_verifying")
def test_folders_that_still_hold_a_withdrawn_image_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "0123456789abcdef0123456789abcdef")
    write_world(tmp_path, NAMES, "")
    source = SOURCE.replace('"keep"', '"hash"').replace("CC0-1.0", "LicenseRef-internal")
    (tmp_path / "source.toml").write_text(source)
    fetch_and_pin(tmp_path)
    words = ("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build/new")
    ran = run(*words, cwd=tmp_path)
    assert ran.status == 0, ran.err
    shutil.copytree(tmp_path / "build" / "new", tmp_path / "build" / "old")
    for policy in ("private", "public"):
        # No licence is in the table of licences, so that the public release has rows alone.
        packed = ("--build", "build/old", "--policy", policy)
        assert run("release", "1.0.0", *packed, cwd=tmp_path).status == 0
    new = tmp_path / "build" / "new"
    manifest = read_records(new / "manifest.parquet")
    image_id = manifest.loc[manifest["source_path"] == WITHDRAWN, "image_id"].item()
    state = new / ".cxrbuild" / "audit"
    (new / "baseline").mkdir()
    write_records(new / "baseline" / "predictions.parquet", manifest)

    def write_audit(shown: str) -> None:
        """Write files where an audit has descriptors and results; it would take longer than this test."""
        (state / "descriptors-1").mkdir(parents=True)
        for path in (state / "descriptors-1" / "thumbnail", new / "audit.html", new / "audit.json"):
            path.write_text(shown)

    write_audit(image_id)
    link = f"mine,images/well3.png,mine,{WITHDRAWN},duplicate,mirrored\n"
    (new / "audit-links.csv").write_text(f"source_a,path_a,source_b,path_b,kind,note\n{link}")
    (tmp_path / "withdrawn.csv").write_text(f"path,date,reason\n{WITHDRAWN},2026-02-28,error\n")
    ran = run(*words, cwd=tmp_path)
    assert not state.exists()
    assert not (new / "audit.html").exists()
    todo = "delete the files and their rows of the metadata"
    place = f"  {Path('data', 'sources', 'mine')} ({WITHDRAWN}; 1 row): {todo}"
    message = ran.err
    listed = message.splitlines()
    assert place in listed
    assert listed[listed.index(place) - 1] == "Withdrawn images are still in 10 places:"
    assert "Keep the file of withdrawals, and keep it private: it can have numbers of patients." in message
    once = "delete it once the next release is made"
    for folder, held in (("build/old", "1 image"), ("release/mine-1.0.0", "1 row"),
                         ("release/mine-1.0.0-private", "1 image")):  # fmt: skip
        assert f"  {Path(folder)} ({held}): {once}" in listed
    assert f"  {tmp_path / 'links.csv'} (2 lines): delete these lines" in listed
    assert f"  {tmp_path / 'reviews.csv'} (1 line): delete this line" in listed
    results = [
        Path("build", "new", name)
        for name in ("audit-links.csv", "audit.json", "baseline/predictions.parquet")
    ]
    new_build = Path("build", "new")
    again = f"run `cxrbuild audit --build {new_build}` again, which writes it without them"
    made = [again, again, "make it again from a build without them, or delete it"]
    for path, what in zip(results, made, strict=True):
        assert f"  {path} (1 image): {what}" in listed
    # `curate` removes the page, and `audit` writes the others again.
    assert "audit.html" not in message
    assert f"{new.relative_to(tmp_path)} (" not in message
    assert list((new / "images").rglob("*sick0*")) == []
    # The warning is shown with --quiet, and of an unchanged build, too; --json has the places as data.
    for command in (("plan", "--recipe", "recipe.toml"), words):
        ran = run(*command, "--quiet", "--json", cwd=tmp_path)
        assert ran.status == 0, ran.err
        assert place in ran.err.splitlines()
        document = json.loads(ran.out)
        held = {
            one["path"]: (one["kind"], one["images"], one["rows"]) for one in document["withdrawn_still_in"]
        }
        assert held[str(Path("data", "sources", "mine"))] == ("source", 1, 1)
        assert held[str(Path("build", "old"))] == ("dataset", 1, 0)
        assert held[str(tmp_path / "links.csv")] == ("declaration", 0, 2)
        assert held[str(results[1])] == ("result", 1, 0)
    assert not document["changed"]
    # What was made after the withdrawal is kept: the build had no image of it.
    write_audit("others")
    (tmp_path / "recipe.toml").write_text(RECIPE.replace('date = "2026-02-01"', 'date = "2026-02-02"'))
    ran = run(*words, cwd=tmp_path)
    assert "audit.json" not in ran.err
    assert (state / "descriptors-1").is_dir()
    assert (new / "audit.html").exists()


def test_duplicates_of_a_withdrawn_image_are_withdrawn_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Withdrawn if a link or equal bytes say so; named if the audit of a build does."""
    write_world(tmp_path, NAMES, "")
    shutil.copy(tmp_path / "in" / WITHDRAWN, tmp_path / "in" / "images" / "well1.png")
    with (tmp_path / "links.csv").open("a") as stream:
        stream.write(f"mine,images/sick3.png,mine,{WITHDRAWN},duplicate,cropped\n")
    rule = '[[rules]]\nname = "twice"\nkind = "duplicate"\nreason = "Again."\n\n[[rules]]'
    recipe = RECIPE.replace("[[rules]]", rule, 1).replace("test = { count = { Sick = 1, Well = 1 } }", SHARE)
    (tmp_path / "recipe.toml").write_text(recipe)
    built = build(tmp_path)
    ledger = read_records(built / "ledger.parquet").set_index("source_path")
    # One of the pair is excluded as the duplicate, and must not come back with the other's withdrawal.
    assert ledger.loc[WITHDRAWN, "exclusion"] == "twice"
    (tmp_path / "withdrawn.csv").write_text(f"path,date,reason\n{WITHDRAWN},2026-02-28,error\n")
    planned = run("plan", "--recipe", "recipe.toml", "--out", "planned", cwd=tmp_path)
    known = [f"mine images/{name} of mine {WITHDRAWN}" for name in ("sick3.png", "well1.png")]
    message = "2 images withdrawn as duplicates of withdrawn ones: " + ", ".join(known)
    assert f"{message}. Equal files or a link show this, and may not be known later: " in planned.err
    assert f"add the paths of these images to {tmp_path / 'withdrawn.csv'} before" in planned.err
    rows = read_records(tmp_path / "planned" / "ledger.parquet").set_index("source_path")
    detail = f"2026-02-28: error; a duplicate of {WITHDRAWN}"
    for path in ("images/sick3.png", "images/well1.png"):
        assert (rows.loc[path, "exclusion"], rows.loc[path, "exclusion_detail"]) == ("withdrawn", detail)
        assert rows.loc[path, ["finding", "patient_id", "source_blob"]].isna().all()
    # The audit of a build knows others; the file of the image may be lost.
    (tmp_path / "data" / "sources" / "mine" / WITHDRAWN).unlink()
    records = cxrbuild.plan(tmp_path / "recipe.toml", tmp_path / "data").records
    pair = {"kind": "near-duplicate", "similarity": 0.9, "changes": [], "crosses": [], "linked": False}
    pair |= {"a": ledger.loc[WITHDRAWN, "image_id"], "b": ledger.loc["images/well2.png", "image_id"]}
    AuditDocument.model_validate({
        "dataset": {"name": "mine", "version": "1.0.0", "manifest_sha256": "0"}, "images": 8,
        "status": "passed", "checks": [], "biases": [], "pairs": [pair],
        "duplicate_search": {
            "compared_pairs": 1, "most_per_image": 1, "limited_images": 0, "skipped_pairs": 0,
        },
    }).write(built / "audit.json")  # fmt: skip
    note = describe_kept_duplicates(records, built)
    kept = f"1 kept image known as duplicates of withdrawn ones: mine images/well2.png of mine {WITHDRAWN}."
    assert note == f"{kept} If they show the same radiograph, withdraw them too."
    # A new version is built in a folder of its own: the audit of the former one is next to it.
    monkeypatch.chdir(built.parent)
    assert describe_kept_duplicates(records, tmp_path / "build" / "next") == note
    # A blob is of every source, under whatever name: of another source, the reason is not repeated.
    listing = read_source("source.toml", tmp_path).listing
    assert listing is not None
    blob = listing[WITHDRAWN].blob
    (tmp_path / "withdrawn.csv").write_text(f"path,date,reason,blob\n,2026-02-28,error,{blob}\n")
    mine = read_source("source.toml", tmp_path)
    rows = records.iloc[:2].assign(exclusion=None, exclusion_detail=None, exclusion_note=None)
    rows = rows.assign(source=["mine", "other"], source_blob=blob)
    other = mine.model_copy(update={"name": "other", "withdrawn": None, "license": "CC-BY-4.0"})
    notes: list[str] = []
    progress = Silent()
    progress.warn = notes.append  # type: ignore[method-assign]
    found = withdraw_copies(rows, [mine, other], [], {}, progress)
    details = ["2026-02-28: error; its file has a withdrawn hash", "2026-02-28"]
    assert list(found["exclusion_detail"]) == details
    assert list(found["license"]) == ["CC0-1.0", "CC-BY-4.0"]
    assert len(notes) == 1
    # A hash of no file is reported unless the line names the deleted file, as is that of another file.
    path = rows["source_path"].iloc[0]
    for line, report in (
        ("", "withdrawn.csv, line 2. Correct"), ("lost.png", ""),
        (path, f"withdrawn.csv, line 2 ({path} has {blob}). Correct"),
    ):  # fmt: skip
        notes.clear()
        (tmp_path / "withdrawn.csv").write_text(
            f"path,date,reason,blob\n{line},2026-02-28,error,{'0' * 40}\n"
        )
        withdraw_copies(rows, [read_source("source.toml", tmp_path)], [], {}, progress)
        assert bool(notes) == bool(report)
        assert report in "".join(notes)


def test_other_images_of_the_patient_of_a_withdrawn_image_are_named(tmp_path: Path) -> None:
    """Patients are known by rows and links; nothing is said of a patient without another image."""
    write_world(
        tmp_path, NAMES, f"{WITHDRAWN},2026-02-28,consent withdrawn\nimages/well3.png,2026-02-28,error\n"
    )
    recipe = RECIPE.replace("test = { count = { Sick = 1, Well = 1 } }", SHARE)
    (tmp_path / "recipe.toml").write_text(recipe)
    metadata = tmp_path / "in" / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("p-well0", "p-sick0"))
    fetch_and_pin(tmp_path)
    built = tmp_path / "build"
    curate = ("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build")
    others = [f"images/{name}.png" for name in ("sick1", "sick2", "well0")]
    asked = run("plan", "--recipe", "recipe.toml", "--json", "--quiet", cwd=tmp_path)
    for ran in (asked, run(*curate, cwd=tmp_path)):
        message = " ".join(ran.err.split())
        named = ", ".join(f"mine {path}" for path in others)
        assert f"The patient of 1 withdrawn image has 3 other images in the dataset: {named}. If a" in message
        assert "other images, or the patient's id in the column `patient`, to " in message
        assert f"`patient`, to {tmp_path / 'withdrawn.csv'}." in message
        assert "p-sick0" not in ran.out + ran.err
    listed = json.loads(asked.out)
    assert listed["of_withdrawn_patients"] == [{"source": "mine", "path": path} for path in others]
    # The ledger has nothing of the patient; nor has a plan anything to say when all are withdrawn.
    assert "p-sick0" not in str(read_records(built / "ledger.parquet").query("exclusion == 'withdrawn'"))
    (tmp_path / "withdrawn.csv").write_text(
        "path,date,reason\n" + "".join(f"{path},2026-02-28,error\n" for path in (WITHDRAWN, *others))
    )
    planned = cxrbuild.plan(tmp_path / "recipe.toml", tmp_path / "data")
    assert not planned.of_withdrawn_patients.images
    # The id withdraws the images of its rows; images that a link calls the same patient's are named.
    (tmp_path / "withdrawn.csv").write_text("path,date,reason,patient\n,2026-02-28,consent,p-sick0\n")
    refused = run("release", "1.0.0", "--build", "build", cwd=tmp_path)
    assert refused.status == 3
    assert "Found: other patients or blobs in" in refused.err
    ran = run("plan", "--recipe", "recipe.toml", "--json", cwd=tmp_path)
    document = json.loads(ran.out)
    assert [one["path"] for one in document["of_withdrawn_patients"]] == others[:2]
    assert {step["step"]: step["images"] for step in document["funnel"]}["withdrawn"] == 2
    assert "p-sick0" not in ran.out + ran.err
    assert run(*curate, cwd=tmp_path).status == 0
    ledger = read_records(built / "ledger.parquet").set_index("source_path")
    assert ledger.loc["images/well0.png"].dropna().to_dict() == {
        "image_id": ledger.loc["images/well0.png", "image_id"], "source": "mine", "license": "CC0-1.0",
        "group": "mine/images/well0.png", "exclusion": "withdrawn",
        "exclusion_detail": "2026-02-28: consent", "exclusion_note": "consent",
    }  # fmt: skip
    opened = open_build(built)
    assert require_not_withdrawn_since(built, opened.document, opened.ledger) == []


def test_a_patient_is_known_by_each_id_that_the_source_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id of the metadata, one of the header, and one that the source takes for the same patient."""
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "0123456789abcdef0123456789abcdef")
    folder = tmp_path / "in"
    folder.mkdir()
    numbers = {"0": "0012", "1": "12", "2": "77", "3": "8801", "4": ""}
    for name in numbers:
        (folder / f"{name}.dcm").write_bytes(dicom(ramp(0, 4095), PatientID=f"MRN{name}"))
    rows = "".join(
        f"{name}.dcm,{number},{'sick' if number else 'well'}\n" for name, number in numbers.items()
    )
    (folder / "metadata.csv").write_text("name,patient,finding\n" + rows)
    text = SOURCE.replace("images/{name}", "{name}").replace("images/*", "*.dcm")
    text = text.replace('"keep"', '"hash"\npatient_conflicts = "join"')
    (tmp_path / "source.toml").write_text(text)
    notes: list[str] = []
    progress = Silent()
    progress.warn = notes.append  # type: ignore[method-assign]

    def withdrawn(*lines: str) -> list[str]:
        (tmp_path / "withdrawn.csv").write_text("path,date,reason,patient\n" + "\n".join(lines))
        source = read_source("source.toml", tmp_path)
        records = ingest(source, take_inventory(source, folder), progress)
        return sorted(records.loc[records["exclusion"].eq("withdrawn"), "source_path"])

    assert withdrawn(",2026-02-28,consent,12") == ["0.dcm", "1.dcm"]
    assert withdrawn(",2026-02-28,consent,MRN2", "3.dcm,2026-02-28,error,") == ["2.dcm", "3.dcm"]
    assert withdrawn(",2026-02-28,consent,MRN4") == ["4.dcm"]
    assert notes == []
    # The rows of a patient may be deleted, and images may come later: the id is no error.
    assert withdrawn(",2026-02-28,consent,8802") == []
    (note,) = notes
    assert "mine: no row of the metadata is of 1 withdrawn patient in " in note
    assert ": line 2 (the nearest is in metadata.csv, line 5)." in note
    assert "880" not in note
    # It is known by an image that was the patient's.
    assert withdrawn("4.dcm,2026-02-28,consent,8802") == ["4.dcm"]
    assert len(notes) == 1
    # A row in another spelling can be of another patient, but more probably the id is misspelt.
    assert withdrawn("4.dcm,2026-02-28,consent,mrn 3") == ["4.dcm"]
    assert ": line 2 (in metadata.csv, line 5). Each line withdraws the image of its path alone." in notes[1]
    with pytest.raises(CxrbuildError, match="1 withdrawn patient in another spelling than the metadata"):
        withdrawn(",2026-02-28,consent,mrn 3")

    # An image that a correction gives to the patient, and those of a source with the same numbers.
    named = text.replace('name = "mine"', 'name = "other"').replace('withdrawn = "withdrawn.csv"\n', "")
    for name, declared in (("source", text), ("other", named)):
        shared = declared.replace('license = "CC0', 'patient_namespace = "clinic"\nlicense = "CC0')
        (tmp_path / f"{name}.toml").write_text(shared)
    (tmp_path / "corrections.csv").write_text(
        "source,path,column,old,new,reason\nmine,3.dcm,patient_id,8801,77,read again\n"
    )
    recipe = RECIPE.replace('sources = ["source.toml"]', 'sources = ["source.toml", "other.toml"]')
    recipe = recipe.replace('mine = ["sick"]', 'mine = ["sick"], other = ["sick"]')
    recipe = recipe.replace("reviews.csv", "").replace('reviews = [""]', 'corrections = ["corrections.csv"]')
    recipe = recipe.replace('["links.csv"]', "[]").replace("test = { count = { Sick = 1, Well = 1 } }", SHARE)
    (tmp_path / "recipe.toml").write_text(recipe)
    withdrawn(",2026-02-28,consent,77")
    sources = [read_source(f"{name}.toml", tmp_path) for name in ("source", "other")]
    fetch(sources, tmp_path / "data", origins=dict.fromkeys(("mine", "other"), str(folder)))
    records = cxrbuild.plan(tmp_path / "recipe.toml", tmp_path / "data").records
    found = records[records["exclusion"].eq("withdrawn")].sort_values(["source", "source_path"])
    images = ["mine 2.dcm 2026-02-28: consent", "mine 3.dcm 2026-02-28: consent", "other 2.dcm 2026-02-28"]
    images.append("other 3.dcm 2026-02-28")  # it has the bytes of the corrected image
    assert list(found["source"] + " " + found["source_path"] + " " + found["exclusion_detail"]) == images
    # There too by each of the ids.
    for number, paths in (("12", ["0.dcm", "1.dcm"]), ("MRN3", ["3.dcm"])):
        withdrawn(f",2026-02-28,consent,{number}")
        sources = [read_source(f"{name}.toml", tmp_path) for name in ("source", "other")]
        records = ingest(sources[1], take_inventory(sources[1], folder), progress, sources)
        details = records.set_index("source_path")["exclusion_detail"].dropna()
        assert details.to_dict() == dict.fromkeys(paths, "2026-02-28")


def test_the_row_of_a_deleted_file_is_joined_to_its_withdrawal(tmp_path: Path) -> None:
    """Only the header of the file said whose row it is."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        header = {"PatientID": f"MRN{number}", "AccessionNumber": f"ACC{number}"}
        (tmp_path / "in" / f"{number}.dcm").write_bytes(dicom(ramp(0, 4095), **header))
    rows = "".join(f"ACC{number},sick,4{number}\n" for number in range(3))
    (tmp_path / "in" / "metadata.csv").write_text("accession,finding,age\n" + rows)
    text = SOURCE.replace('path = "images/{name}"', 'accession_number = "{accession}"')
    text = text.replace("images/*", "*.dcm").replace('from = "patient"', 'from = "PatientID"')
    (tmp_path / "source.toml").write_text(text + '\n[columns.patient_age]\nfrom = "age"\n')
    (tmp_path / "withdrawn.csv").write_text("path,date,reason\n0.dcm,2026-02-28,error\n")
    listing = [f"100644\t{'0' * 40}\t{name}" for name in ("0.dcm", "1.dcm", "2.dcm", "metadata.csv")]
    (tmp_path / "mine.tsv").write_text("\n".join(["mode\tblob\tpath", *listing, ""]))
    with (tmp_path / "source.toml").open("a") as stream:
        stream.write(f'[pin]\ntree = "{"0" * 40}"\nlisting = "mine.tsv"\n')
    (tmp_path / "in" / "0.dcm").unlink()

    notes: list[str] = []
    progress = Silent()
    progress.warn = notes.append  # type: ignore[method-assign]

    def table() -> dict[str, tuple[object, ...]]:
        source = read_source("source.toml", tmp_path)
        records = ingest(source, take_inventory(source, tmp_path / "in"), progress)
        rows = records[["exclusion", "finding", "patient_age"]].astype("object").fillna("none")
        return dict(zip(records["source_path"], rows.itertuples(index=False, name=None), strict=True))

    others = {"1.dcm": ("none", "sick", 41.0), "2.dcm": ("none", "sick", 42.0)}
    # The row may be of the withdrawn image, so that nothing of it is kept.
    doubtful = {"AccessionNumber ACC0": ("row_without_file", "none", "none")}
    assert table() == others | doubtful | {"0.dcm": ("withdrawn", "none", "none")}
    (tmp_path / "withdrawn.csv").write_text("path,date,reason,identifier\n0.dcm,2026-02-28,error,ACC0\n")
    assert "1 row of metadata without a file" in notes.pop()
    joined = table()
    assert joined.keys() == {"0.dcm", "1.dcm", "2.dcm"}
    assert joined["0.dcm"][0] == "withdrawn"
    # A row that is of no withdrawn image keeps its values, once the identifiers of these are known.
    (tmp_path / "in" / "1.dcm").unlink()
    assert table()["AccessionNumber ACC1"] == ("row_without_file", "sick", 41.0)
    assert notes == []
    # So it is where the row of the withdrawn image is deleted, unless another row without a file is near.
    for other, values, near in (("X-77", ("sick", 41.0), False), ("ACC1", ("none", "none"), True)):
        (tmp_path / "in" / "metadata.csv").write_text(
            f"accession,finding,age\n{other},sick,41\nACC2,sick,42\n"
        )
        assert table()[f"AccessionNumber {other}"] == ("row_without_file", *values)
        assert bool(notes) == near
    note = notes.pop()
    assert (
        "withdrawn images: 0.dcm ACC0 (the nearest is ACC1, in metadata.csv, line 2). The nearest row" in note
    )
    # Another spelling of a row's identifier is of no other row.
    (tmp_path / "withdrawn.csv").write_text("path,date,reason,identifier\n0.dcm,2026-02-28,error,acc 01\n")
    with pytest.raises(CxrbuildError, match=r"Found: 0\.dcm acc 01 \(metadata\.csv, line 2, has ACC1\)"):
        table()
    (tmp_path / "withdrawn.csv").write_text("path,date,reason\n0.dcm,2026-02-28,error\n")
    assert table()["AccessionNumber ACC1"] == ("row_without_file", "none", "none")
    assert "1 withdrawn image without a row, and 1 row of metadata without a file" in notes.pop()
    # The identifier finds the row, and not the path: that of a deleted file is in the listing.
    (tmp_path / "withdrawn.csv").write_text("path,date,reason,identifier\n00.dcm,2026-02-28,error,ACC0\n")
    with pytest.raises(CxrbuildError, match=r"Found: 00\.dcm \(the nearest path is 0\.dcm\)"):
        table()


def test_after_a_withdrawal_no_copy_of_the_former_files_is_kept(tmp_path: Path) -> None:
    """The metadata that was fetched before has the patient's row."""
    write_world(tmp_path, NAMES, "")
    fetch_and_pin(tmp_path)
    (tmp_path / "data" / "sources" / "mine" / WITHDRAWN).unlink()
    withdraw_rows(tmp_path)
    ran = run("fetch", "source.toml", "--from", "mine=in", "--pin", "--allow-unpinned", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert "was changed" not in ran.err + ran.out
    assert sorted(path.name for path in (tmp_path / "data" / "sources").iterdir()) == ["mine", "mine.tsv"]
    assert "sick0" not in (tmp_path / "data" / "sources" / "mine" / "metadata.csv").read_text()
    ran = run("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build", cwd=tmp_path)
    lines = [f"  {tmp_path / 'links.csv'} (2 lines): delete these lines"]
    lines.append(f"  {tmp_path / 'reviews.csv'} (1 line): delete this line")
    assert "\n".join(["Withdrawn images are still in 2 places:", *lines, "If links join"]) in ran.err
    shown = " ".join(run("why", WITHDRAWN, "--build", "build", cwd=tmp_path).out.split())
    assert "bytes not compared: a withdrawn image needs no file" in shown
    (tmp_path / "links.csv").write_text("source_a,path_a,source_b,path_b,kind,note\n")
    (tmp_path / "reviews.csv").write_text("source,path,mark,marks_finding,note\n")
    ran = run("plan", "--recipe", "recipe.toml", cwd=tmp_path)
    assert "1 image withdrawn. No place that was looked at holds any: the folders" in ran.out + ran.err


def withdraw_rows(folder: Path) -> None:
    """Delete a withdrawn image and its row at the origin, and declare it."""
    (folder / "in" / WITHDRAWN).unlink()
    metadata = folder / "in" / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("sick0.png,p-sick0,sick\n", ""))
    (folder / "withdrawn.csv").write_text(f"path,date,reason\n{WITHDRAWN},2026-02-28,error\n")


def test_copies_that_were_set_aside_plans_and_pages_are_named(tmp_path: Path) -> None:
    write_world(tmp_path, NAMES, "")
    fetch_and_pin(tmp_path)
    assert run("plan", "--recipe", "recipe.toml", "--out", "planned", cwd=tmp_path).status == 0
    assert run("review", "--recipe", "recipe.toml", "--workers", "1", cwd=tmp_path).status == 0
    fetched = tmp_path / "data" / "sources" / "mine"
    (fetched / WITHDRAWN).unlink()
    (fetched / "metadata.csv").write_text("edited")
    withdraw_rows(tmp_path)
    ran = run("fetch", "source.toml", "--from", "mine=in", "--pin", "--allow-unpinned", cwd=tmp_path)
    assert ran.status == 0, ran.err
    message = " ".join(f"{ran.out} {ran.err}".split())
    changed = f"(1 image missing: {WITHDRAWN}; 1 other file with other bytes: metadata.csv)"
    assert f"was changed since it was fetched {changed}. It was kept as" in message
    ran = run("plan", "--recipe", "recipe.toml", cwd=tmp_path)
    aside = Path("data", "sources", "mine.damaged-1")
    held = (
        f"  {aside} (set aside by `fetch`, with its metadata): delete this copy, or the files and rows in it"
    )
    dataset = "  planned (1 row): delete it once the next release is made"
    page = "  review.html (1 image): delete this page, or make it again"
    places = "\n".join(["Withdrawn images are still in 5 places:", held, dataset, page])
    assert places in ran.err


def test_other_data_folders_and_proposed_pins_are_named(tmp_path: Path) -> None:
    write_world(tmp_path, NAMES, "")
    fetch_and_pin(tmp_path)
    (tmp_path / "in").rename(tmp_path / "former")
    lock = tmp_path / "data" / "sources.lock.json"
    before, after = (json.dumps(str(tmp_path / name)) for name in ("in", "former"))
    lock.write_text(lock.read_text().replace(before, after))
    shutil.copytree(tmp_path / "former", tmp_path / "in")
    (tmp_path / "in" / "metadata.csv").write_text((tmp_path / "in" / "metadata.csv").read_text() + "\n")
    ran = run("fetch", "--propose-pin", "source.toml", "--from", "mine=in", cwd=tmp_path)
    assert ran.status == 0, ran.err
    (folder,) = tmp_path.glob("mine-*")
    withdraw_rows(tmp_path)
    given = ("--from", "mine=in", "--data", "data-new", "--pin", "--allow-unpinned")
    assert run("fetch", "source.toml", *given, cwd=tmp_path).status == 0
    ran = run("plan", "--recipe", "recipe.toml", "--data", "data-new", cwd=tmp_path)
    places = (Path("data", "sources", "mine"), tmp_path / "former")
    todo = "delete the files and their rows of the metadata"
    files = [f"  {place} ({WITHDRAWN}; 1 row): {todo}" for place in places]
    pin = f"  {Path(folder.name, 'metadata')} (1 row): delete the folder of the proposed pin"
    assert "\n".join(["Withdrawn images are still in 5 places:", *files, pin]) in ran.err
    # Rows alone are named too, and the lines of corrections and of a table with the former split.
    (tmp_path / "data" / "sources" / "mine" / WITHDRAWN).unlink()
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "former")
    (tmp_path / "links.csv").write_text("source_a,path_a,source_b,path_b,kind,note\n")
    (tmp_path / "reviews.csv").write_text("source,path,mark,marks_finding,note\n")
    (tmp_path / "corrections.csv").write_text(
        f"source,path,column,old,new,reason\nmine,{WITHDRAWN},finding,sick,well,read again\n"
    )
    (tmp_path / "former.csv").write_text(
        f"source,path,split\nmine,{WITHDRAWN},test\nmine,images/sick1.png,train\n"
    )
    recipe = RECIPE.replace("reviews =", 'corrections = ["corrections.csv"]\nreviews =')
    (tmp_path / "recipe.toml").write_text(recipe.replace("salt =", 'previous = "former.csv"\nsalt ='))
    ran = run("plan", "--recipe", "recipe.toml", "--data", "data-new", cwd=tmp_path)
    lines = [f"  {tmp_path / name} (1 line): delete this line" for name in ("corrections.csv", "former.csv")]
    held = f"  {places[0]} (1 row): delete their rows of the metadata"
    assert "\n".join(["Withdrawn images are still in 3 places:", held, *lines]) in ran.err


def test_a_damaged_image_is_excluded_as_curate_advises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule on the id would be refused in a public release of a source that is not public."""
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "0123456789abcdef0123456789abcdef")
    write_world(tmp_path, NAMES, "")
    (tmp_path / "source.toml").write_text(SOURCE.replace('"keep"', '"hash"'))
    (tmp_path / "in" / "images" / "well3.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    fetch_and_pin(tmp_path)
    words = ("--recipe", "recipe.toml", "--format", "parquet", "--out", "build")
    ran = run("curate", *words, cwd=tmp_path, COLUMNS="300")
    assert ran.status == 3
    assert 'of kind `reviewed` with `marks = ["unseen"]` excludes for good' in " ".join(ran.err.split())
    rule = '[[rules]]\nname = "damaged"\nkind = "reviewed"\nmarks = ["unseen"]\nreason = "Damaged."\n\n'
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("[[rules]]", f"{rule}[[rules]]", 1))
    with (tmp_path / "reviews.csv").open("a") as stream:
        stream.write("mine,images/well3.png,unseen,,damaged\n")
    assert run("curate", *words, cwd=tmp_path).status == 0
    assert foresee(cxrbuild.plan(tmp_path / "recipe.toml", tmp_path / "data")).refusals == []
