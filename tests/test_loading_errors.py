"""What loading a dataset refuses, with where, what was expected and found, and the next step."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cxrbuild
from cxrbuild.records import read_records, write_records


def refused(call: Callable[[], object]) -> cxrbuild.CxrbuildError:
    with pytest.raises(cxrbuild.CxrbuildError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("call", "what", "expected", "todo"),
    [
        (lambda one: one.select("tset"), "has no split 'tset'", "one of train, test", "Name a split"),
        (lambda one: one.torch("tset"), "has no split 'tset'", "one of train, test", "Name a split"),
        (lambda one: one.fold(0), "the dataset has no fold 0", "`[split.folds]`", "Declare the folds"),
        (lambda one: one.read_image("x"), "has no image 'x'", "one of actualmed_", "Name an `image_id`"),
        (
            lambda one: one.select("train").read_bytes(one.to_pandas("test")["image_id"].iloc[0]),
            "is in the split test", "an image of the split train", 'Read it from `select("test")`',
        ),
    ],
    ids=["split", "split of a library", "no folds", "image", "another split"],
)  # fmt: skip
def test_what_a_dataset_does_not_have_is_named_with_the_next_step(
    demo: Path, call: Callable[[cxrbuild.Dataset], object], what: str, expected: str, todo: str
) -> None:
    error = refused(lambda: call(cxrbuild.load(demo / "build")))
    assert what in error.what
    assert error.where == demo / "build"
    assert expected in str(error.expected)
    assert todo in str(error.todo)


def test_a_name_of_no_image_is_answered_with_the_nearest_and_an_excluded_image_with_its_exclusion(
    demo: Path,
) -> None:
    dataset = cxrbuild.load(demo / "build")
    known = dataset.rows["image_id"].iloc[0]
    assert refused(lambda: dataset.read_image(known[:-1])).todo == f"Write {known}, the nearest name"
    ledger = dataset.artifact.ledger
    row = ledger[ledger["exclusion"] == "lateral"].iloc[0]
    error = refused(lambda: dataset.read_image(row["image_id"]))
    assert (error.what, error.found) == (
        f"the dataset does not have the image {row['image_id']}", "excluded: lateral",
    )  # fmt: skip


def test_an_image_of_another_fold_is_refused(demo: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    records = read_records(build / "manifest.parquet")
    records["fold"] = [number % 3 for number in range(len(records))]
    write_records(build / "manifest.parquet", records)
    outside, inside = cxrbuild.load(build).fold(1)
    image_id = inside.rows["image_id"].iloc[0]
    assert inside.read_image(image_id).mode == "L"
    error = refused(lambda: outside.read_image(image_id))
    assert error.what == f"the image {image_id} is in the fold 1"
    assert (error.where, error.expected) == (build, "an image of the folds 0, 2")
    assert error.todo == "Read it from the other dataset that `fold` returned"
    error = refused(lambda: inside.fold(3))
    assert (error.expected, error.todo) == ("one of 0, 1, 2", "Name a fold that the dataset has")


def test_pixels_that_are_withheld_are_named_with_the_reason(varied_public: Path) -> None:
    with pytest.warns(cxrbuild.MissingPixelsWarning) as warned:
        dataset = cxrbuild.load(varied_public)
    manifest = dataset.artifact.manifest
    row = manifest[manifest["withheld"].notna()].iloc[0]
    error = refused(lambda: dataset.read_image(row["image_id"]))
    assert error.what == f"the release withholds the pixels of {row['image_id']}"
    assert (error.where, error.found) == (varied_public, row["withheld"])
    # One warning, at the line of the caller, with the counts of the classes and splits that lack pixels.
    [warning] = warned
    assert warning.filename == __file__
    train = manifest[(manifest["label"] == "COVID-19") & (manifest["split"] == "train")]
    counts = f"{train['withheld'].isna().sum()} of {len(train)}"
    assert f"  {counts} COVID-19 images of train have pixels here.\n" in str(warning.message)
    assert "Normal" not in str(warning.message)
    assert repr(dataset).endswith(f"withheld={manifest['withheld'].notna().sum()})")
    assert f"<td>COVID-19</td><td>{counts}</td>" in dataset._repr_html_()
    # All rows are an option; images are only those with pixels.
    assert len(dataset.to_pandas("train")) < len(dataset.to_pandas("train", withheld=True))
    assert dataset.to_pandas(withheld=True).equals(manifest)


@pytest.mark.parametrize("place", ["end", "column"])
def test_a_damaged_shard_is_named(public_release: Path, tmp_path: Path, place: str) -> None:
    release = Path(shutil.copytree(public_release, tmp_path / "release"))
    [path] = (release / "data").glob("test-*.parquet")
    data = bytearray(path.read_bytes())
    # The footer is at the end; without it the shard does not open. The ids are read with the first image.
    column = data.index(b"image_id")
    for number in range(len(data) - 8, len(data)) if place == "end" else range(4, column):
        data[number] = 0xFF
    path.write_bytes(data)
    dataset = cxrbuild.load(release).select("test")
    for read in (lambda: dataset[0], lambda: list(dataset)):
        error = refused(read)
        assert (error.what, error.where) == ("the shard cannot be read", path)
        assert error.todo == "Check the folder with `cxrbuild verify`"


@pytest.mark.parametrize(
    ("sums", "found"),
    [("<html>\n", "line 1"), (f"{'0' * 64}  other.txt\n", "SHA256SUMS of other files")],
)
def test_sums_of_something_else_are_no_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sums: str, found: str
) -> None:
    monkeypatch.setenv("CXRBUILD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "SHA256SUMS").write_text(sums)
    error = refused(lambda: cxrbuild.load(f"file://{tmp_path}"))
    assert (error.what, error.where) == ("no release at this address", f"file://{tmp_path}")
    assert found in str(error.found)
    assert "build.json" in str(error.expected)
    assert "Check the address" in str(error.todo)


@pytest.mark.parametrize(
    ("library", "raised", "todo"),
    [
        ("torch", "OSError('libtorch.so: cannot open shared object file')", "--force-reinstall torch"),
        ("tensorflow", "ImportError('DLL load failed')", "--force-reinstall tensorflow"),
        (
            "torchxrayvision", "RuntimeError('operator torchvision::nms does not exist')",
            "--force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu",
        ),
    ],
)  # fmt: skip
def test_a_library_that_cannot_be_imported_is_named_with_the_reason(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, raised: str, todo: str
) -> None:
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").write_text(f"raise {raised}\n")
    monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    error = refused(lambda: getattr(cxrbuild.load(demo / "build"), library)(size=8))
    assert error.what == f"{library} is installed, but cannot be imported"
    kind, _, text = raised.removesuffix("')").partition("('")
    assert error.found == f"{kind}: {text}"
    assert f"{todo}`" in str(error.todo)
