"""A build is the same bytes however it came about, and nothing of it is done twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from command import run
from PIL import Image
from small_demo import IMAGES
from systems import needs_bytes_names, needs_kills, needs_links, needs_pipes, needs_shell

from cxrbuild.lockfile import read_lock
from cxrbuild.records import COLUMNS, read_records
from cxrbuild.shell import quote


def curate(
    demo: Path,
    out: Path | str,
    *more: object,
    data: Path | str | None = None,
    status: int = 0,
    cwd: Path | None = None,
):
    ran = run("curate", "--recipe", demo / "declared" / "recipe.toml", "--data", data or demo / "data",
              "--out", out, "--format", "parquet", "--workers", 1, "--json", *more, cwd=cwd)  # fmt: skip
    assert ran.status == status, ran.err
    return json.loads(ran.out) if status == 0 else ran.err


def fetch_again(demo: Path, data: Path) -> None:
    """Fetch Mooney's images again as they are now."""
    files = data / "sources" / "mooney"
    given = files.rename(data / "given")
    ran = run("fetch", demo / "declared" / "mooney.toml", "--from", f"mooney={given}", "--allow-unpinned",
              "--data", data, "--quiet")  # fmt: skip
    assert ran.status == 0, ran.err
    shutil.rmtree(given)


def tree(folder: Path) -> dict[str, str]:
    """Return the hashes of a build's files; the seal and states have the times of one folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("seal", "states", "shards")
    }


def times(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".cxrbuild.lock"
    }


def test_one_and_two_workers_make_the_same_bytes(small_demo: Path, tmp_path: Path) -> None:
    # One worker made that build.
    curate(small_demo, tmp_path / "two", "--workers", 2)
    assert tree(tmp_path / "two") == tree(small_demo / "build")


def test_the_ledger_holds_every_upstream_image_and_the_manifest_its_jpegs(demo: Path) -> None:
    build = demo / "build"
    ledger, manifest = read_records(build / "ledger.parquet"), read_records(build / "manifest.parquet")
    assert len(ledger) == 99
    assert list(pd.read_parquet(build / "ledger.parquet").columns) == [
        column.name for column in COLUMNS if not column.optional
    ]
    assert ledger["exclusion"].value_counts().to_dict() == {
        "other_finding": 5, "row_without_file": 1, "file_without_row": 1, "ct": 1, "lateral": 1,
        "annotated": 1,
    }  # fmt: skip
    assert set(manifest["image_id"]) == set(ledger.loc[ledger["exclusion"].isna(), "image_id"])
    on_disk = {path.relative_to(build).as_posix() for path in (build / "images").rglob("*.jpg")}
    assert on_disk == set(manifest["jpeg_path"])
    for row in manifest.to_dict("records"):
        data = (build / row["jpeg_path"]).read_bytes()
        assert row["jpeg_path"] == f"images/{row['split']}/{row['label']}/{row['image_id']}.jpg"
        assert hashlib.sha256(data).hexdigest() == row["jpeg_sha256"]
        assert len(data) == row["jpeg_bytes"]
        with Image.open(build / row["jpeg_path"]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (row["width"], row["height"]))
        source = demo / "data" / "sources" / row["source"] / row["source_path"]
        assert hashlib.sha256(source.read_bytes()).hexdigest() == row["source_sha256"]
        if row["conversion"] == "copied":
            assert data == source.read_bytes()
    assert set(manifest["conversion"]) == {"copied", "encoded"}


def test_build_json_hashes_its_files_and_holds_no_place_or_time(demo: Path) -> None:
    text = (demo / "build" / "build.json").read_text()
    document = json.loads(text)
    assert str(demo) not in text
    assert "127.0.0.1" not in text
    for name, entry in document["files"].items():
        assert hashlib.sha256((demo / "build" / name).read_bytes()).hexdigest() == entry["sha256"]
    assert document["unpinned"] == []
    assert document["missing"] == {}
    assert document["groups_in_several_splits"] == {}


def test_a_finished_build_is_left_alone(small_demo: Path) -> None:
    out = small_demo / "build"
    before = times(out)
    again = curate(small_demo, out)
    assert again["changed"] is False
    assert list(again["other_findings"]["findings"]) == ["ARDS"]
    assert times(out) == before


@pytest.fixture(scope="module")
def damaged(small_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build that tests damage in turn: each makes it again."""
    out = tmp_path_factory.mktemp("damaged") / "build"
    curate(small_demo, out)
    return out


@pytest.mark.parametrize(
    "damage",
    [
        "jpeg changed",
        pytest.param("jpeg changed and seal touched", marks=pytest.mark.slow),
        pytest.param("images lost", marks=pytest.mark.slow),
        pytest.param("jpeg lost", marks=pytest.mark.slow),
        pytest.param("jpeg a link", marks=needs_links),
        "shard truncated",
        "ledger lost",
        pytest.param("data lost", marks=pytest.mark.slow),
        "seal",
        pytest.param("seal edited", marks=pytest.mark.slow),
        "leftovers",
    ],
)
def test_what_was_damaged_and_only_that_is_made_again(
    small_demo: Path, damaged: Path, tmp_path: Path, damage: str
) -> None:
    out = damaged
    before = times(out)
    jpeg = sorted((out / "images").rglob("*.jpg"))[3]
    match damage:
        case "jpeg changed":
            status = jpeg.stat()
            jpeg.write_bytes(jpeg.read_bytes()[::-1])
            # A program that sets the time back does not get past the seal.
            os.utime(jpeg, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "jpeg changed and seal touched":
            jpeg.write_bytes(jpeg.read_bytes()[::-1])
            time.sleep(0.05)  # a later tick of the disk's clock
            (out / "build.json").touch()
        case "images lost":
            shutil.rmtree(out / "images")
        case "jpeg lost":
            jpeg.unlink()
        case "shard truncated":
            shard = sorted((out / "data").iterdir())[0]
            shard.write_bytes(shard.read_bytes()[:-1])
        case "ledger lost":
            (out / "ledger.parquet").unlink()
        case "data lost":
            shutil.rmtree(out / "data")
        case "jpeg a link":
            jpeg.replace(tmp_path / "elsewhere.jpg")
            jpeg.symlink_to(tmp_path / "elsewhere.jpg")
        case "seal":
            (out / "build.json").write_text("[]")
        case "seal edited":
            seal = out / "build.json"
            edited = seal.read_text().replace('"missing": {}', '"missing": {"mooney_x": "missing_file"}')
            seal.write_text(edited)
        case "leftovers":
            (out / "build.json").unlink()
            for folder in (out, out / ".cxrbuild", jpeg.parent, out / "data"):
                (folder / ".image.jpg.0123abcd.part").write_bytes(b"what a killed run was writing")
            (jpeg.parent / ".folder.0123abcd.part").mkdir()
    # What this version cannot read may be another version's build: it is replaced on demand alone.
    made = curate(small_demo, out, *(["--replace"] if damage == "seal" else []))
    assert made["changed"] is True
    if damage in ("jpeg changed", "jpeg lost", "jpeg a link"):
        known = (
            f"Converted by an earlier run: {IMAGES} of {IMAGES} images; the files of 1 of these are checked"
        )
        assert f"{known}, and converted again if damaged or missing." in made["notes"]
    repaired = [note for note in made["notes"] if note.startswith("Converted again")]
    count = {"images lost": f"{IMAGES} images"}.get(damage, "1 image" if damage.startswith("jpeg") else "")
    assert repaired == (
        [f"Converted again: {count} whose JPEG in the build was damaged or missing."] if count else []
    )
    written = [note for note in made["notes"] if note.startswith("Written again")]
    if damage == "shard truncated":
        assert written == [
            f"Written again: {shard.relative_to(out).as_posix()}. The other shards are unchanged."
        ]
    assert tree(out) == tree(small_demo / "build")
    assert not any(path.is_symlink() for path in out.rglob("*"))
    others = [path for path in before if path.suffix == ".jpg" and path != jpeg]
    if damage != "images lost":
        assert all(path.stat().st_mtime_ns == before[path] for path in others), (
            "a JPEG was made again for nothing"
        )


@needs_kills
def test_a_killed_run_leaves_nothing_half_written_and_is_resumed(demo: Path, tmp_path: Path) -> None:
    # Larger images than the demo's, so that the kill comes in the middle.
    data = tmp_path / "data"
    shutil.copytree(demo / "data", data)
    for path in (data / "sources" / "mooney").rglob("*.jpeg"):
        with Image.open(path) as file:
            file.resize((600, 600)).convert("RGB").save(path, "JPEG")
    fetch_again(demo, data)
    out, whole = tmp_path / "build", tmp_path / "whole"
    curate(demo, whole, "--allow-missing", data=data)
    command = [sys.executable, "-m", "cxrbuild", "curate", "--recipe", demo / "declared" / "recipe.toml",
               "--data", data, "--out", out, "--format", "parquet", "--quiet", "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(list(map(str, command)), start_new_session=True)
    deadline, journal = time.monotonic() + 60, out / ".cxrbuild" / "journal"
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 24) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert 0 < len(made) < 89
    assert not (out / "build.json").exists()
    for path in made:
        with Image.open(path) as file:
            file.load()
    curate(demo, out, "--allow-missing", data=data)
    assert tree(out) == tree(whole)
    assert not list(out.rglob("*.part"))
    kept = [path for path, at in made.items() if path.stat().st_mtime_ns == at]
    assert len(kept) >= 24, "images of the journal are not converted again"


@pytest.mark.parametrize(
    "settings",
    ["others", *(pytest.param(name, marks=pytest.mark.slow) for name in ("the same", "not known"))],
)
def test_other_options_in_the_same_folder_remove_images(
    small_demo: Path, tmp_path: Path, settings: str
) -> None:
    out = tmp_path / "build"
    journal = out / ".cxrbuild" / "journal"
    curate(small_demo, out, "--keep-annotated", "--keep-lateral")
    assert len(read_records(out / "manifest.parquet")) == IMAGES + 2
    if settings == "not known":
        journal.unlink()
    if settings == "others":
        journal.write_text(journal.read_text().replace('"quality": 95', '"quality": 90', 1))
    curate(small_demo, out)
    assert tree(out) == tree(small_demo / "build")


def test_another_recipe_in_the_same_folder_moves_images(
    small_demo: Path, damaged: Path, tmp_path: Path
) -> None:
    out, fresh = Path(shutil.copytree(damaged, tmp_path / "build")), tmp_path / "fresh"
    declared = tmp_path / "declared"
    shutil.copytree(small_demo / "declared", declared)
    recipe = declared / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('salt = "demo"', 'salt = "other"'))
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(declared, other / "declared")
    moved = curate(other, out, data=small_demo / "data")
    assert moved["counts"]["test"]["COVID-19"] == 2
    curate(other, fresh, data=small_demo / "data")
    assert tree(out) == tree(fresh)


def test_files_of_others_in_the_build_are_left_alone(small_demo: Path, damaged: Path, tmp_path: Path) -> None:
    out = tmp_path / "notes"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    words = curate(small_demo, out, status=1)
    assert "not a build" in words
    assert "mine.txt" in words
    out = Path(shutil.copytree(damaged, tmp_path / "build"))
    notes = [out / name for name in ("images/train/note.txt", "images/train/Normal/a.jpg", "data/README.md")]
    for note in notes:
        note.write_text("mine")
    curate(small_demo, out, "--keep-annotated")
    assert [note.read_text() for note in notes] == ["mine"] * 3


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (".", "the sources are in a folder that the build writes to"),
        ("data", "the sources are in a folder that the build writes to"),
        # A source of it is a link into images/.
        pytest.param("build", "the sources are in a folder that the build writes to", marks=needs_links),
        ("data/sources/mooney/chest_xray/build", "the build would be among the sources"),
        ("data/sources", "the sources are in a folder that the build writes to"),
        ("notes", "not a build"),
    ],
)
def test_a_build_is_not_made_over_what_is_no_build(
    small_demo: Path, tmp_path: Path, out: str, words: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_demo / "data", data)
    (tmp_path / "notes").mkdir()
    # As a run that failed leaves it.
    for folder in (tmp_path, data, tmp_path / "notes"):
        (folder / ".cxrbuild.lock").touch()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    if out == "build":
        (tmp_path / "build" / ".cxrbuild").mkdir(parents=True)
        (tmp_path / "build" / "images").mkdir()
        (data / "sources" / "mooney").rename(tmp_path / "build" / "images" / "mooney")
        (data / "sources" / "mooney").symlink_to(tmp_path / "build" / "images" / "mooney")
    before = tree(tmp_path)
    assert words in " ".join(curate(small_demo, out, data="data", cwd=tmp_path, status=1).split())
    assert tree(tmp_path) == before


@needs_links
def test_nothing_is_made_or_removed_through_a_link(small_demo: Path, damaged: Path, tmp_path: Path) -> None:
    out, elsewhere, aside = tmp_path / "build", tmp_path / "elsewhere", tmp_path / "aside"
    shutil.copytree(damaged, out)
    (out / "tfds").mkdir()
    shutil.copytree(out, elsewhere)
    before = tree(elsewhere)
    for name in ("images", "data", "tfds", ".cxrbuild", "images/train", "images/train/Normal"):
        (out / name).rename(aside)
        (out / name).symlink_to(elsewhere / name)
        words = " ".join(curate(small_demo, out, "--keep-lateral", status=1).split())
        assert f"build/{name}: a link is among a build's own folders" in words
        assert tree(elsewhere) == before
        (out / name).unlink()
        aside.rename(out / name)


def test_of_shards_only_those_of_this_program_are_removed(
    small_demo: Path, damaged: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(damaged, tmp_path / "build"))
    others = out / "tfds" / "mnist" / "3.0.1"
    others.mkdir(parents=True)
    (others / "dataset_info.json").write_text('{"moduleName": "tensorflow_datasets.mnist"}')
    ours = out / "tfds" / "demo_cxr" / "0.9.0"
    ours.mkdir(parents=True)
    (ours / "dataset_info.json").write_text('{"moduleName": "cxrbuild"}')
    stays = [others / "mnist-train.tfrecord-00000-of-00001", out / "data" / "mine" / "note.parquet"]
    goes = [
        ours / "demo_cxr-train.tfrecord-00000-of-00001", out / "data" / "train-00001-of-00002.parquet",
    ]  # fmt: skip
    for path in (*stays, *goes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("shard")
    assert curate(small_demo, out)["changed"]
    assert [path.exists() for path in (*stays, *goes)] == [True, True, False, False]
    assert not ours.parent.exists()
    assert (others / "dataset_info.json").exists()


def test_a_source_without_a_lock_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\n[reader]\nkind = "folders"\nimages = ["**"]\n'
        "pattern = '^(?P<finding>[^/]+)/'\n[columns.finding]\nfrom = \"finding\"\n"
    )
    (tmp_path / "recipe.toml").write_text(
        'name = "mine-cxr"\nversion = "1.0.0"\ntitle = "Mine"\nsources = ["mine.toml"]\n'
        '[labels]\nSick = { mine = ["sick"] }\n'
        '[[rules]]\nname = "other"\nkind = "labelled"\nreason = "Other."\n'
        '[split]\nsalt = "mine"\n'
    )
    for number, data in enumerate(("one", "other")):
        file = tmp_path / data / "sources" / "mine" / "sick" / "a.png"
        file.parent.mkdir(parents=True)
        Image.new("L", (40 + number, 30), 50).save(file)
    widths = []
    for data in ("one", "other", "one"):
        ran = run("curate", "--recipe", tmp_path / "recipe.toml", "--data", tmp_path / data, "--out",
                  tmp_path / "build", "--format", "parquet", "--quiet")  # fmt: skip
        assert ran.status == 0, ran.err
        widths += read_records(tmp_path / "build" / "manifest.parquet")["width"].tolist()
    assert widths == [40, 41, 40]


def test_missing_images_are_listed_or_recorded(small_demo: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_demo / "data", data)
    # Of different classes and splits, none of which may become empty.
    files = sorted((data / "sources" / "mooney").rglob("*.jpeg"))[::4]
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:2000])
    files[2].write_text("<html>Not found</html>")
    fetch_again(small_demo, data)
    words = curate(small_demo, tmp_path / "build", data=data, status=3)
    assert "images of demo-cxr are missing" in words
    assert "1 image of the dataset missing" in words
    assert files[0].name in words
    files[0].write_bytes(b"")
    fetch_again(small_demo, data)
    words = curate(small_demo, tmp_path / "build", data=data, status=3)
    assert "3 images of the dataset missing" in words
    assert " ".join(words.split()).count("; image_id mooney_") == 3
    assert not (tmp_path / "build" / "build.json").exists()
    document = curate(small_demo, tmp_path / "build", "--allow-missing", data=data)
    assert len(document["missing"]) == 3
    assert set(document["missing"].values()) <= {"truncated", "unreadable", "unsupported", "empty"}
    ledger = read_records(tmp_path / "build" / "ledger.parquet").set_index("image_id")
    lost = ledger.loc[list(document["missing"])]
    assert lost["split"].notna().all()
    assert lost["exclusion_detail"].notna().all()
    whole = read_records(small_demo / "build" / "manifest.parquet").set_index("image_id")["split"]
    assert (ledger["split"].reindex(whole.index) == whole).all(), "a missing image moved another"
    # Without the flag the finished build does not pass for whole.
    curate(small_demo, tmp_path / "build", data=data, status=3)


def test_a_decoder_that_came_since_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from cxrbuild import versions
    from cxrbuild.curation import seal

    monkeypatch.setattr(versions, "_CONVERTING", ("pillow", "no-such-decoder"))
    without = versions.converting_libraries()
    assert without == {"pillow": version("pillow")}
    monkeypatch.setattr(versions, "_CONVERTING", ("pillow", "click"))
    assert versions.converting_libraries() == without | {"click": version("click")}
    assert seal.libraries()["click"] == version("click")


def test_a_source_that_changed_since_it_was_fetched_is_an_error(small_demo: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "build"
    shutil.copytree(small_demo / "data", data)
    curate(small_demo, out, data=data)
    before = tree(out)
    one, other = sorted((data / "sources" / "mooney").rglob("*.jpeg"))[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    words = " ".join(curate(small_demo, out, data=data, status=1).split())
    assert "images were changed since they were fetched" in words
    declaration = small_demo / "declared" / "mooney.toml"
    file = one.relative_to(data / "sources" / "mooney").as_posix()
    origin = read_lock(data)["mooney"].origin
    fetch = f"cxrbuild fetch {quote(declaration)} --data {quote(data)} --from {quote(f'mooney={origin}')}"
    assert f"Found: mooney/{file}. Run `{fetch}` again" in words
    assert "Traceback" not in words
    one.write_bytes(content)
    assert curate(small_demo, out, data=data)["changed"]
    assert tree(out) == before
    table = data / "sources" / "cohen" / "metadata.csv"
    table.write_bytes(table.read_bytes() + b"\n")
    assert "the metadata changed since it was fetched" in curate(small_demo, out, data=data, status=1)
    (data / "sources" / "cohen.tsv").write_text("mode\tblob\tpath\n")
    assert "the record is not of the files that were fetched" in curate(small_demo, out, data=data, status=1)
    # What cannot be read is not taken for one that was changed.
    (data / "sources" / "cohen.tsv").unlink()
    (data / "sources" / "cohen.tsv").mkdir()
    words = curate(small_demo, out, data=data, status=1)
    assert "cohen.tsv: Is a directory. Move" in " ".join(words.split())


def test_only_what_was_fetched_is_built(small_demo: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "build"
    shutil.copytree(small_demo / "data", data)
    files = sorted((data / "sources" / "mooney").rglob("*.jpeg"))
    planted = files[0].with_name("planted.jpeg")
    shutil.copy(files[0], planted)
    (files[0].parent / ".DS_Store").write_bytes(b"not an image")
    words = " ".join(curate(small_demo, out, data=data, status=1).split())
    assert "there are images that fetch did not put there. Found: chest_xray" in words
    assert "planted.jpeg. Run `cxrbuild fetch" in words
    assert not (out / "build.json").exists()
    planted.unlink()
    curate(small_demo, out, data=data)


@needs_bytes_names
def test_a_name_that_is_not_utf8_is_an_error(small_demo: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(small_demo / "data", tmp_path / "data"))
    image = min((data / "sources" / "mooney").rglob("*.jpeg"))
    shutil.copy(image, image.with_name("\udcff.jpeg"))
    words = " ".join(curate(small_demo, tmp_path / "build", data=data, status=1).split())
    assert "names that are not UTF-8" in words
    assert "\\udcff.jpeg" in words


@needs_pipes
def test_a_pipe_is_not_an_image(small_demo: Path, tmp_path: Path) -> None:
    """Reading it would never end."""
    data = Path(shutil.copytree(small_demo / "data", tmp_path / "data"))
    image = min((data / "sources" / "mooney").rglob("*.jpeg"))
    image.unlink()
    os.mkfifo(image)
    words = " ".join(curate(small_demo, tmp_path / "build", data=data, status=3).split())
    assert f"mooney 1 (missing_file) {image.relative_to(data / 'sources' / 'mooney').as_posix()}" in words


@pytest.mark.slow
@needs_shell
def test_a_file_that_is_too_large_for_the_system_has_advice(small_demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "build"
    words = [
        "curate",
        "--recipe",
        small_demo / "declared" / "recipe.toml",
        "--data",
        small_demo / "data",
        "--out",
        out,
    ]
    command = [sys.executable, "-m", "cxrbuild", *map(str, words), "--format", "parquet", "--quiet"]
    ran = subprocess.run(
        ["sh", "-c", 'ulimit -f 5 && exec "$@"', "sh", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "images" in ran.stderr
    assert "File too large. Run again where files may be as large" in " ".join(ran.stderr.split())


def test_an_error_of_the_system_has_advice(small_demo: Path, damaged: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(damaged, tmp_path / "build"))
    shutil.rmtree(out / "images" / "train" / "Normal")
    (out / "images" / "train" / "Normal").write_text("mine")
    reported = " ".join(curate(small_demo, out, status=1).split())
    assert (
        f"{out / 'images' / 'train' / 'Normal'}: File exists. Move the existing file away and run again."
        in reported
    )
    (out / "images" / "train" / "Normal").unlink()
    curate(small_demo, out)
    assert tree(out) == tree(small_demo / "build")


def test_two_runs_in_one_folder_are_an_error(small_demo: Path, tmp_path: Path) -> None:
    from cxrbuild.files import locked

    with locked(tmp_path / "build"):
        assert "another cxrbuild command uses this folder" in curate(small_demo, tmp_path / "build", status=1)


def test_counts_that_differ_from_what_is_expected_fail(small_demo: Path, tmp_path: Path) -> None:
    shutil.copytree(small_demo / "declared", tmp_path / "declared")
    with (tmp_path / "declared" / "recipe.toml").open("a") as recipe:
        recipe.write("\n[expect.train]\nNormal = 4\n")
    words = curate(tmp_path, tmp_path / "build", data=small_demo / "data", status=3)
    assert "train, Normal: expected 4, found 3" in words
    document = curate(tmp_path, tmp_path / "build", "--keep-ct", data=small_demo / "data")
    assert document["overrides"] == {
        "rules": [{"rule": "ct", "switch": "ct", "enabled": False}],
        "reviews": [],
    }


HOSPITAL_KEY = "a secret of the hospital's own"


@pytest.fixture
def hospital(tmp_path: Path) -> list[object]:
    """The options of the build of a hospital's DICOM files, which are fetched into `data`."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    files = tmp_path / "given"
    for number in range(12):
        file = Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
        file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        file.PatientID, file.PatientName, file.PatientAge = f"MRN{number // 2}", "Doe^Jane", "061Y"
        file.Modality, file.ViewPosition = "DX", "LL" if number == 11 else "PA"
        file.BurnedInAnnotation = "YES" if number == 10 else "NO"
        file.PhotometricInterpretation, file.SamplesPerPixel = "MONOCHROME1", 1
        file.Rows, file.Columns = 40, 30
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
        file.WindowCenter, file.WindowWidth = 2048, 4096
        pixels = np.linspace(0, 4095, 1200).reshape(40, 30) + number
        file.PixelData = pixels.clip(0, 4095).astype("<u2").tobytes()
        path = files / ("sick" if number % 4 < 2 else "well") / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        file.save_as(path, enforce_file_format=True)
    (tmp_path / "hospital.toml").write_text(
        """name = "hospital"
title = "A hospital"
license = "LicenseRef-internal"

[reader]
kind = "dicom"
pattern = '^(?P<folder>[^/]+)/'

[columns.finding]
from = "folder"
"""
    )
    (tmp_path / "recipe.toml").write_text(
        """name = "hospital-cxr"
version = "0.1.0"
title = "Images of a hospital"
sources = ["hospital.toml"]

[labels]
Sick = { hospital = ["sick"] }
Well = { hospital = ["well"] }

[[rules]]
name = "not_radiograph"
kind = "in"
column = "modality"
values = ["CR", "DX"]
unknown = "drop"
reason = "Not a radiograph."

[[rules]]
name = "lateral"
kind = "not_in"
column = "view_position"
values = ["LL", "RL"]
switch = "lateral"
reason = "Frontal images only."

[[rules]]
name = "other_finding"
kind = "labelled"
reason = "No class."

[split]
salt = "hospital"
test = { count = { Sick = 2, Well = 2 } }
validation = { share = 0.3 }
"""
    )
    data, out = tmp_path / "data", tmp_path / "build"
    ran = run("fetch", tmp_path / "hospital.toml", "--from", f"hospital={files}", "--data", data,
              CXRBUILD_PATIENT_KEY=HOSPITAL_KEY)  # fmt: skip
    assert ran.status == 0, ran.err
    return ["--recipe", tmp_path / "recipe.toml", "--data", data, "--out", out, "--format", "parquet"]


def test_a_hospitals_dicom_files_become_a_dataset(hospital: list[object], tmp_path: Path) -> None:
    import numpy as np

    words, out, key = hospital, tmp_path / "build", HOSPITAL_KEY
    ran = run("curate", *words, "--json", CXRBUILD_PATIENT_KEY=key)
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    assert document["unpinned"] == ["hospital"]
    assert document["counts"]["test"] == {"Sick": 2, "Well": 2}
    assert document["groups_in_several_splits"] == {}
    ledger = read_records(out / "ledger.parquet")
    assert ledger["exclusion"].dropna().value_counts().to_dict() == {"burned_in_annotation": 1, "lateral": 1}
    for path in out.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"MRN" not in content, f"{path} has a patient's number"
            assert b"Doe" not in content, f"{path} has a patient's name"
    manifest = read_records(out / "manifest.parquet")
    with Image.open(out / manifest["jpeg_path"][0]) as image:
        grey = np.asarray(image).astype(int)
    assert grey[0, 0] > 245, "MONOCHROME1: the least value is white"
    assert grey[-1, -1] < 10

    assert not json.loads(run("curate", *words, "--json", CXRBUILD_PATIENT_KEY=key).out)["changed"]
    assert "no key to hash patient numbers with" in " ".join(run("curate", *words).err.split())
    ran = run("curate", *words, "--json", CXRBUILD_PATIENT_KEY="another secret of the hospital's")
    assert ran.status == 1
    assert "not the key that the patient numbers were hashed with" in " ".join(ran.err.split())


@pytest.mark.slow
def test_a_header_excludes_an_image_only_if_it_is_as_it_was_fetched(
    hospital: list[object], tmp_path: Path
) -> None:
    words, data, out, key = hospital, tmp_path / "data", tmp_path / "build", HOSPITAL_KEY
    assert run("curate", *words, CXRBUILD_PATIENT_KEY=key).status == 0

    def curated() -> tuple[int, str]:
        ran = run("curate", *words, "--quiet", CXRBUILD_PATIENT_KEY=key)
        return ran.status, " ".join(ran.err.split())

    one = next((data / "sources" / "hospital").rglob("3.dcm"))
    content = one.read_bytes()
    left_out = [content.replace(b"PA", b"LL"), b"", content[:100]]
    for changed in (*left_out, content[:-2] + b"\0\0"):
        assert changed != content
        one.write_bytes(changed)
        status, reported = curated()
        assert status == 1, reported
        assert "images were changed since they were fetched. Found: hospital/well/3.dcm" in reported, reported
        given = quote(f"hospital={tmp_path / 'given'}")
        assert f"{quote(tmp_path / 'hospital.toml')} --data {quote(data)} --from {given}` again" in reported
        # A run that is refused before it converts takes nothing away.
        assert (out / "build.json").exists() is (changed in left_out)
    one.unlink()
    status, reported = curated()
    assert status == 3
    assert "hospital 1 (missing_file) well/3.dcm" in reported
    ran = run("curate", *words, "--json", "--allow-missing", CXRBUILD_PATIENT_KEY=key)
    assert list(json.loads(ran.out)["missing"].values()) == ["missing_file"]
    one.mkdir()
    assert "hospital 1 (missing_file) well/3.dcm" in curated()[1]
    one.rmdir()
    one.write_bytes(content)
    assert curated() == (0, "")
    # Files that macOS leaves are not images, even if every file is read as one.
    (data / "sources" / "hospital" / "well" / ".DS_Store").write_bytes(b"looked at")
    assert curated() == (0, "")
    with (tmp_path / "recipe.toml").open("a") as recipe:
        recipe.write("\n[expect.test]\nSick = 2\nWell = 2\n")
    one.write_bytes(content.replace(b"PA", b"LL"))
    assert "images were changed since" in curated()[1], "not that the counts are others"
    for file in list((data / "sources" / "hospital" / "well").glob("*.dcm")):
        file.unlink()
    assert "First fetch the missing images: well/" in curated()[1]
