"""What a notebook shows: every public function returns a frozen result with ``to_dict`` and a short HTML."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import cxrbuild
from cxrbuild.notebook import result_html
from cxrbuild.records import read_records, write_records

# Pillow's own class, which a notebook shows as an image.
FOREIGN = {"Image"}
# A notebook is read: the result itself has everything.
MOST_CHARACTERS = 6000


def result_names() -> list[str]:
    """Return the classes in the return annotations of the public functions."""
    functions = [value for name in cxrbuild.__all__ if inspect.isfunction(value := getattr(cxrbuild, name))]
    found = {
        name for one in functions for name in re.findall(r"\b[A-Z]\w+", str(one.__annotations__["return"]))
    }
    return sorted(found - FOREIGN - {"None"})


@pytest.mark.parametrize("name", result_names())
def test_every_result_is_frozen_and_shows_itself(name: str) -> None:
    kind = getattr(cxrbuild, name)
    if dataclasses.is_dataclass(kind):
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    else:
        assert kind.model_config["frozen"], f"{name} is neither a frozen dataclass nor a declaration"
    fields = getattr(kind, "model_fields", None)
    if fields is None:
        doc = "".join(inspect.getdoc(base) or "" for base in kind.__mro__[:-1])
        described = " ".join(re.findall(r"^([a-z0-9_, ]+)$", doc, re.MULTILINE))
        missing = {one.name for one in dataclasses.fields(kind)} - set(re.findall(r"\w+", described))
    else:
        missing = {key for key, field in fields.items() if not field.description}
    assert not missing, f"{name} does not describe {missing}"
    assert callable(kind.to_dict)
    assert callable(kind._repr_html_)


class Tags(HTMLParser):
    """Collects the text of some HTML, and checks that every tag is closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def shown(result: object) -> str:
    """Return the text that a notebook shows of a result, cells separated by ``|``."""
    html = result._repr_html_()  # type: ignore[attr-defined]
    assert html.startswith("<p>")
    assert len(html) < MOST_CHARACTERS
    json.dumps(result.to_dict())  # type: ignore[attr-defined]
    return "|".join(Tags(html).text)


def test_html_is_escaped_and_limited() -> None:
    html = result_html(
        "a < b", ["\u202e&"], ["x"], [[number, True, None, "<i>"] for number in range(1000, 1031)]
    )
    assert Tags(html).text[:6] == ["a < b", r"\u202e&", "x", "1,000", "yes", "<i>"]
    assert html.count("<tr>") == 21
    assert Tags(html).text[-1] == "and 11 more"


def test_a_selected_split_is_named_and_counted(demo: Path) -> None:
    dataset = cxrbuild.load(demo / "build")
    manifest = dataset.artifact.manifest
    test = dataset.select("test")
    rows = manifest[manifest["split"] == "test"]
    assert test.to_dict()["split"] == "test"
    assert test.to_dict()["images"] == {"test": len(rows)}
    assert dataset.to_dict()["split"] is None
    assert sum(dataset.to_dict()["images"].values()) == len(manifest)  # type: ignore[attr-defined]
    folder = f"folder={str(demo / 'build')!r}"
    assert repr(test) == f"Dataset(demo-cxr 1.0.0, {folder}, split='test', images={len(rows)})"
    assert repr(dataset) == f"Dataset(demo-cxr 1.0.0, {folder}, images={len(manifest)})"
    assert shown(test) != shown(dataset)
    counts = [f"{label}|{(rows['label'] == label).sum()}" for label in dataset.classes]
    assert shown(test) == "|".join(["Dataset demo-cxr 1.0.0: test", "class", "test", *counts])
    assert shown(dataset).startswith("Dataset demo-cxr 1.0.0|class|train|test|COVID-19|")


def test_a_fold_is_named_and_counted(demo: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    records = read_records(build / "manifest.parquet")
    records["fold"] = [number % 3 for number in range(len(records))]
    write_records(build / "manifest.parquet", records)
    outside, inside = cxrbuild.load(build).select("train").fold(1)
    rows = records[(records["split"] == "train") & (records["fold"] == 1)]
    assert repr(inside).endswith(f", split='train', folds=(1,), images={len(rows)})")
    assert inside.to_dict()["folds"] == [1]
    assert inside.to_dict()["images"] == {"train": len(rows)}
    assert shown(inside).startswith("Dataset demo-cxr 1.0.0: train, fold 1|class|train|COVID-19|")
    assert "train, folds 0, 2|" in shown(outside)
    assert len(inside) + len(outside) == (records["split"] == "train").sum()


@pytest.mark.filterwarnings("ignore::cxrbuild.MissingPixelsWarning")
def test_withheld_pixels_of_a_selection_are_counted(varied_public: Path) -> None:
    dataset = cxrbuild.load(varied_public)
    manifest: pd.DataFrame = dataset.artifact.manifest
    for split in dataset.splits:
        rows = manifest[manifest["split"] == split]
        withheld = int(rows["withheld"].notna().sum())
        selected = dataset.select(split)
        absent = f", withheld={withheld}" if withheld else ""
        assert repr(selected).endswith(f"split={split!r}, images={len(rows) - withheld}{absent})")
        assert (f"Images without pixels: {withheld} withheld" in shown(selected)) == bool(withheld)
    assert manifest["withheld"].notna().any()


def test_results_of_a_build_read_well(demo: Path, tmp_path: Path) -> None:
    build, data = demo / "build", demo / "data"
    exported = cxrbuild.export(build, "csv", tmp_path / "csv")
    assert shown(exported).startswith(
        f"demo-cxr 1.0.0 as csv|Written to {tmp_path / 'csv'}.|class|train|test|"
    )
    described = cxrbuild.fingerprint(build, tmp_path / "a.fingerprint.parquet", workers=1)
    images = len(cxrbuild.load(build))
    assert f"{images} of {images} images, keypoints" in shown(described)
    common = cxrbuild.overlap(described.path, described.path, workers=1)
    assert re.search(r"split in demo-cxr 1.0.0\|images\|test\|test\|\d+\|", shown(common))
    excluded = cxrbuild.list_excluded(build)
    [(code, meaning), *_] = excluded.reasons.items()
    assert f"{code}|{len(excluded.of(code))}|{meaning}" in shown(excluded)
    sources = cxrbuild.list_sources_of(build)
    assert all(f"|{one.name}|{one.license}|" in shown(sources) for one in sources.sources)
    image = excluded.images[0]
    decided = cxrbuild.why(image.image_id, build)
    assert f"{image.image_id}|no|{image.exclusion}|" in shown(decided)
    assert "Fetched into" in shown(cxrbuild.fetch([], data))


def test_results_of_declarations_and_lists_read_well(tmp_path: Path) -> None:
    [source, *_] = cxrbuild.list_sources(tmp_path, ["mooney"])
    assert "images|5,856|licence|CC-BY-4.0|" in shown(source)
    [recipe, *_] = cxrbuild.list_recipes(tmp_path, ["covid19-cxr"])
    assert "|images|6,354|" in shown(recipe)
    assert shown(cxrbuild.read_recipe()).startswith("Recipe covid19-cxr 1.0.0: ")
    assert "git tree|1ce61c7afbd499c6b524aabe84f86481bfc26184" in shown(cxrbuild.read_source("cohen"))
    listed = tmp_path / "list.csv"
    listed.write_text("file,split,label,patient\na.png,train,x,1\nb.png,test,x,1\n", "utf-8")
    audited = cxrbuild.audit_lists([listed], pixels=False)
    assert shown(audited).startswith("Audit of lists: 2 rows|must hold|findings|rows|")


def test_a_signed_release_reads_well(public_release: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(public_release, tmp_path / "release"))
    key = tmp_path / "key"
    private = ed25519.Ed25519PrivateKey.generate()
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    signed = cxrbuild.sign(folder, key)
    assert shown(signed) == f"Signed release|{folder / 'SHA256SUMS.sig'}, by {signed.fingerprint}"
    [*_, first] = shown(cxrbuild.verify(folder)).splitlines()
    assert first.startswith("release demo-cxr 1.0.0: ")
