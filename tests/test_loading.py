"""Builds and releases open in the libraries that people use, with equal ids, labels, splits and pixels."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command import run
from hub_server import TOKEN, HubServer
from libraries import library
from loopback import LoopbackHandler, LoopbackServer, serving
from PIL import Image
from publishing import s3_env, s3_server

import cxrbuild


@pytest.fixture(params=["build", "release"])
def folder(request: pytest.FixtureRequest, demo: Path, public_release: Path) -> Path:
    return demo / "build" if request.param == "build" else public_release


@pytest.fixture(scope="module")
def pixels(demo: Path) -> dict[str, np.ndarray]:
    """The pixels of every image of the build by id, as Pillow decodes the JPEG."""
    manifest = pd.read_parquet(demo / "build" / "manifest.parquet")
    found = {}
    for image_id, path in zip(manifest["image_id"], manifest["jpeg_path"], strict=True):
        with Image.open(demo / "build" / path) as image:
            found[image_id] = np.asarray(image)
    return found


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


def test_pandas(folder: Path, demo: Path) -> None:
    rows = cxrbuild.load(folder).to_pandas()
    expected = pd.read_parquet(demo / "build" / "manifest.parquet").set_index("image_id")
    assert len(rows) > 70
    for column in ("label", "split", "source", "patient_id"):
        assert rows.set_index("image_id")[column].equals(expected.loc[rows["image_id"], column].astype("str"))


def test_random_access_has_the_pixels_of_the_build(folder: Path, pixels: dict[str, np.ndarray]) -> None:
    dataset = cxrbuild.load(folder)
    order = np.random.default_rng(1).permutation(len(dataset))
    for number in order:
        image, row = dataset[int(number)]
        assert np.array_equal(np.asarray(image), pixels[row["image_id"]])
        assert dataset.classes[dataset.targets[number]] == row["label"]


def test_a_dataset_can_be_pickled_after_use(demo: Path, public_release: Path) -> None:
    with get_context("spawn").Pool(1) as pool:
        for folder in (demo / "build", public_release):
            dataset = cxrbuild.load(folder).select("test")
            first = dataset[0].image.tobytes()
            again = pickle.loads(pickle.dumps(dataset))
            assert again[0].image.tobytes() == first
            assert again.rows.equals(dataset.rows)
            found = pool.map(dataset.read_bytes, dataset.rows["image_id"])
            assert found == [data for data, _ in dataset.iterate_bytes()]


def test_shards_that_another_program_compressed_are_refused(public_release: Path, tmp_path: Path) -> None:
    shutil.copytree(public_release, tmp_path / "release")
    path = next((tmp_path / "release" / "data").glob("test-*.parquet"))
    pq.write_table(pq.read_table(path), path, compression="zstd", use_dictionary=False)
    dataset = cxrbuild.load(tmp_path / "release")
    with pytest.raises(cxrbuild.CxrbuildError, match="images are compressed"):
        dataset.select("test")[0]
    assert dataset.select("train")[0].image.mode == "L"


@pytest.mark.parametrize("size", [0, -1, 8193])
def test_a_size_that_no_image_can_have_is_refused(demo: Path, size: int) -> None:
    dataset = cxrbuild.load(demo / "build")
    for method in (dataset.torch, dataset.tensorflow, dataset.torchxrayvision):
        with pytest.raises(cxrbuild.CxrbuildError, match="images cannot have this size"):
            method(size=size)


def test_without_the_library_its_method_names_the_install_command(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    dataset = cxrbuild.load(demo / "build")
    found = []
    for method in (dataset.torch, dataset.tensorflow, dataset.torchxrayvision):
        with pytest.raises(cxrbuild.CxrbuildError) as caught:
            method(size=8)
        found.append(str(caught.value))
    assert found == [
        'torch is not installed. Run `pip install "cxrbuild[torch]"`.',
        'tensorflow is not installed. Run `pip install "cxrbuild[train]"`.',
        'torchxrayvision is not installed. Run `pip install "torchxrayvision"`.',
    ]


def test_duckdb(folder: Path, pixels: dict[str, np.ndarray]) -> None:
    import duckdb

    found = duckdb.sql(f"select image_id, label, split from '{folder}/manifest.parquet' order by image_id")
    rows = cxrbuild.load(folder).artifact.manifest.sort_values("image_id")
    assert found.fetchall() == list(rows[["image_id", "label", "split"]].itertuples(index=False, name=None))
    classes = cxrbuild.load(folder).classes
    shards = duckdb.sql(f"select image_id, label, image.bytes from '{folder}/data/test-*.parquet'").fetchall()
    expected = cxrbuild.load(folder).to_pandas("test").set_index("image_id")["label"]
    assert {name: classes[label] for name, label, _ in shards} == expected.to_dict()
    for name, _, data in shards:
        assert np.array_equal(_decoded(data), pixels[name])


def _decoded(data: bytes) -> np.ndarray:
    from io import BytesIO

    with Image.open(BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_face_datasets(
    folder: Path, pixels: dict[str, np.ndarray], tmp_path: Path, streaming: bool
) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "parquet", data_dir=str(folder / "data"), cache_dir=str(tmp_path), streaming=streaming
    )
    dataset = cxrbuild.load(folder)
    assert set(loaded) == set(dataset.splits)
    for split in loaded:
        rows = dataset.to_pandas(split)
        if not streaming:
            # Memory-mapped: the table is read from an Arrow file.
            assert loaded[split].cache_files
        found = {example["image_id"]: example for example in loaded[split]}
        names = loaded[split].features["label"].names
        assert {name: names[example["label"]] for name, example in found.items()} == dict(
            zip(rows["image_id"], rows["label"], strict=True)
        )
        for name, example in found.items():
            assert np.array_equal(np.asarray(example["image"]), pixels[name])


@pytest.mark.slow
def test_tensorflow(folder: Path, pixels: dict[str, np.ndarray], tmp_path: Path) -> None:
    """In a process of its own: TensorFlow's imports warn."""
    code = (
        "import sys, numpy as np, cxrbuild\n"
        "dataset = cxrbuild.load(sys.argv[1])\n"
        "for size in (None, 32):\n"
        "    found = dataset.tensorflow('test', size=size)\n"
        "    elements = list(found.as_numpy_iterator())\n"
        "    assert len(found) == len(elements) == len(dataset.select('test'))\n"
        "    names = dataset.to_pandas('test')['image_id']\n"
        "    images = {f'{n}': image for n, (image, _) in zip(names, elements, strict=True)}\n"
        "    np.savez(f'{sys.argv[2]}/{size}.npz', targets=[t for _, t in elements], **images)\n"
        "batch, targets = next(iter(dataset.tensorflow(size=32).shuffle(50).batch(8)))\n"
        "assert batch.shape == (8, 32, 32, 1) and targets.shape == (8,)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path)],
                          env=os.environ | {"PYTHONWARNINGS": "default", "TF_CPP_MIN_LOG_LEVEL": "3"},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = cxrbuild.load(folder).to_pandas("test")
    for size in (None, 32):
        with np.load(tmp_path / f"{size}.npz") as found:
            assert found["targets"].tolist() == cxrbuild.load(folder).select("test").targets.tolist()
            for name in rows["image_id"]:
                expected = pixels[name] if size is None else resized(pixels[name], size)
                assert np.array_equal(found[name][..., 0], expected)


def elements_of(loader: object) -> Iterator[tuple[np.ndarray, int]]:
    for images, targets in loader:
        yield from zip(images.numpy(), targets.tolist(), strict=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork"), (2, "spawn")])
def test_torch(folder: Path, pixels: dict[str, np.ndarray], workers: int, start: str | None) -> None:
    torch = library("torch")
    dataset = cxrbuild.load(folder).torch(split="train", size=32)
    rows = dataset.dataset.rows
    assert len(dataset) == len(rows) == (cxrbuild.load(folder).to_pandas()["split"] == "train").sum()
    dataset[3]
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=16, num_workers=workers, multiprocessing_context=start
    )
    found = list(elements_of(loader))
    assert [dataset.classes[target] for _, target in found] == rows["label"].tolist()
    for (image, _), name in zip(found, rows["image_id"], strict=True):
        assert image.dtype == np.float32
        assert np.array_equal(image[0], resized(pixels[name], 32).astype(np.float32) / 255)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_torch_in_random_order_and_with_a_transform(folder: Path, pixels: dict[str, np.ndarray]) -> None:
    torch = library("torch")
    transforms = library("torchvision.transforms")
    plain = cxrbuild.load(folder).torch("test")
    transformed = cxrbuild.load(folder).torch("test", transform=transforms.ToTensor())
    assert (plain.targets == transformed.targets).all()
    assert plain.class_to_idx == {"COVID-19": 0, "Normal": 1, "Pneumonia": 2}
    order = torch.utils.data.RandomSampler(plain, generator=torch.Generator().manual_seed(1))
    seen = 0
    for number in order:
        image, target = plain[number]
        assert torch.equal(image, transformed[number][0])
        row = plain.dataset.rows.iloc[number]
        assert np.array_equal(np.rint(image[0].numpy() * 255), pixels[row["image_id"]])
        assert plain.classes[target] == row["label"]
        seen += 1
    assert seen == len(plain)
    with pytest.raises(IndexError):
        plain[len(plain)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_torch_is_imported_only_where_it_is_used(demo: Path) -> None:
    library("torch")
    code = (
        "import sys, cxrbuild; dataset = cxrbuild.load(sys.argv[1]); dataset[0]; list(dataset);"
        "assert 'torch' not in sys.modules; dataset.torch(); assert 'torch' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(demo / "build")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_torchvision_opens_the_image_folders(demo: Path, pixels: dict[str, np.ndarray]) -> None:
    folders = library("torchvision.datasets")
    dataset = cxrbuild.load(demo / "build")
    for split in dataset.splits:
        found = folders.ImageFolder(demo / "build" / "images" / split)
        assert found.classes == dataset.classes
        labels = {Path(path).stem: found.classes[target] for path, target in found.samples}
        rows = dataset.to_pandas(split)
        assert labels == dict(zip(rows["image_id"], rows["label"], strict=True))
        for (path, _), (image, _) in zip(found.samples, found, strict=True):
            # ImageFolder makes three equal channels of one.
            assert np.array_equal(np.asarray(image)[..., 1], pixels[Path(path).stem])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_torchxrayvision(folder: Path, pixels: dict[str, np.ndarray]) -> None:
    xrv = library("torchxrayvision")
    dataset = cxrbuild.load(folder).torchxrayvision("test", size=64)
    rows = cxrbuild.load(folder).to_pandas("test")
    assert dataset.csv["image_id"].tolist() == rows["image_id"].tolist()
    assert dataset.totals()["Normal"][1.0] == (rows["label"] == "Normal").sum()
    for number, (name, label) in enumerate(zip(rows["image_id"], rows["label"], strict=True)):
        found = dataset[number]
        assert found["lab"].tolist() == [float(label == one) for one in dataset.pathologies]
        expected = xrv.utils.normalize(resized(pixels[name], 64), 255)
        assert found["img"].shape == (1, 64, 64)
        assert np.array_equal(found["img"][0], expected)
    # Its own tools work on it.
    xrv.datasets.relabel_dataset(["Pneumonia", "COVID-19", "Effusion"], dataset, silent=True)
    assert np.isnan(dataset.labels[:, 2]).all()
    merged = xrv.datasets.MergeDataset([dataset, dataset])
    assert len(merged) == 2 * len(rows)
    assert "num_samples" in repr(merged)
    cropped = cxrbuild.load(folder).torchxrayvision("test", transform=xrv.datasets.XRayCenterCrop())
    assert cropped[0]["img"].shape[1] == cropped[0]["img"].shape[2]


def test_a_published_release_is_downloaded_once_and_checked(
    public_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRBUILD_CACHE", str(tmp_path / "cache"))
    shutil.copytree(public_release, tmp_path / "published")
    address = f"file://{tmp_path}/published"
    dataset = cxrbuild.load(address)
    assert dataset.rows.equals(cxrbuild.load(public_release).rows)
    assert dataset[3].image.tobytes() == cxrbuild.load(public_release)[3].image.tobytes()
    assert not list((tmp_path / "cache").rglob("*.tfrecord*"))
    before = {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.parquet")}
    again = cxrbuild.load(address)
    assert again.rows.equals(dataset.rows)
    assert {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.parquet")} == before

    (tmp_path / "published").rename(tmp_path / "moved")
    monkeypatch.setenv("CXRBUILD_CACHE", str(tmp_path / "other"))
    with pytest.raises(cxrbuild.CxrbuildError, match="no release at this address"):
        cxrbuild.load(address)
    (tmp_path / "moved").rename(tmp_path / "published")
    (tmp_path / "published" / "CHANGELOG.md").write_text("changed")
    with pytest.raises(cxrbuild.CxrbuildError, match="differs from the release's SHA256SUMS") as caught:
        cxrbuild.load(address)
    assert "CHANGELOG.md" in str(caught.value)
    assert not list((tmp_path / "other").rglob("*.part"))


class ReleaseHandler(LoopbackHandler):
    """Serves a folder, or answers everything with one status."""

    root: Path
    status = 200

    def do_GET(self) -> None:
        content = (self.root / self.path.lstrip("/")).read_bytes() if self.status == 200 else b""
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def test_a_cached_copy_is_used_without_a_connection_only(
    public_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("CXRBUILD_CACHE", str(tmp_path / "cache"))
    handler = type("Handler", (ReleaseHandler,), {"root": public_release})
    with serving(LoopbackServer(handler)) as server:
        address = server.url
        dataset = cxrbuild.load(address)
        [copy] = (path.parent for path in (tmp_path / "cache").rglob("SHA256SUMS"))
        for status in (404, 410, 403, 503):
            handler.status = status
            with pytest.raises(cxrbuild.CxrbuildError, match="may have withdrawn the release") as caught:
                cxrbuild.load(address)
            assert str(copy) in caught.value.what
            assert caught.value.where == address
    assert cxrbuild.load(address).rows.equals(dataset.rows)


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/demo",
        pytest.param("s3://bucket/other", marks=pytest.mark.slow),
        pytest.param("nonsense://there", marks=pytest.mark.slow),
    ],
)
def test_a_release_in_a_bucket_loads(
    public_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    pytest.importorskip("s3fs")
    monkeypatch.setenv("CXRBUILD_CACHE", str(tmp_path / "cache"))
    with s3_server(tmp_path / "s3") as port:
        for name, value in s3_env(port).items():
            monkeypatch.setenv(name, value)
        shutil.copytree(public_release, tmp_path / "s3" / "bucket" / "demo")
        if address == "s3://bucket/demo":
            assert cxrbuild.load(address).rows.equals(cxrbuild.load(public_release).rows)
        else:
            with pytest.raises(cxrbuild.CxrbuildError, match=address):
                cxrbuild.load(address)


@pytest.mark.parametrize("name", ["demo", pytest.param("other", marks=pytest.mark.slow)])
def test_a_release_on_the_hub_loads(public_release: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("huggingface_hub")
    code = "import sys, cxrbuild; print(len(cxrbuild.load(sys.argv[1])))"
    files = {p.relative_to(public_release).as_posix(): p for p in public_release.rglob("*") if p.is_file()}
    with serving(HubServer()) as hub:
        hub.create("owner/demo", {name: path.read_bytes() for name, path in files.items()})
        env = {
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.port}", "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path),
            "HF_HUB_DISABLE_XET": "1", "CXRBUILD_CACHE": str(tmp_path / "cache"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code, f"hf://datasets/owner/{name}"], capture_output=True, text=True,
            check=False, env=os.environ | env,
        )  # fmt: skip
    assert TOKEN not in done.stderr
    if name == "demo":
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{len(cxrbuild.load(public_release))}\n"
    else:
        assert done.returncode == 1
        assert "hf://datasets/owner/other: " in done.stderr


def test_to_dict_is_json(folder: Path) -> None:
    json.dumps(cxrbuild.load(folder).to_dict())
    assert run("verify", folder).status == 0
