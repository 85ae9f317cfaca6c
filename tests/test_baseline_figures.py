"""The drawings of the baseline: which images they show."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cxrbuild.baseline import BaselineResult, train_baseline
from cxrbuild.baseline.figures import draw_samples
from cxrbuild.baseline.image_table import find_identified
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.training import MODEL
from cxrbuild.catalog import Recipe
from cxrbuild.records import read_records, write_records

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures that a test draws, by the name of their file."""
    figures: dict[str, Figure] = {}
    write = Figure.savefig

    def record(figure: Figure, path: Path, **options: object) -> None:
        write(figure, path, **options)
        figures[Path(path).name.lstrip(".").partition(".")[0]] = figure

    monkeypatch.setattr(Figure, "savefig", record)
    return figures


def shown_images(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def make_images(labels: list[int]) -> Images:
    """Return test images of 4 pixels, each in a grey of its own."""
    table = pd.DataFrame({"image_id": [f"i{n}" for n in range(len(labels))], "split": "test"})
    grey = np.repeat(np.arange(len(labels), dtype=np.uint8), 4).reshape(-1, 2, 2)
    return Images(table, np.array(labels, np.int32), grey, grey)


def test_samples_are_two_different_images_of_each_class(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    images = make_images([0, 0, 0, 0, 1, 2, 2])
    draw_samples(tmp_path / "samples", images, np.array([0, 1, 2, 3, 4, 6]), ["a", "b", "c"])
    greys = sorted(int(image[0, 0]) for image in shown_images(drawn["samples"]))
    # An only image is drawn once, and of no class an image that may not be shown.
    assert greys == [1, 2, 4, 6]


def mark_images(build: Path, marked: set[str]) -> None:
    """Review images of a build: they show a name."""
    records = read_records(build / "manifest.parquet")
    write_records(
        build / "manifest.parquet",
        records.assign(review=records["review"].mask(records["image_id"].isin(marked), "identifier")),
    )


def test_no_figure_shows_an_image_with_a_readable_name(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    manifest = read_records(demo / "build" / "manifest.parquet")
    test = manifest[manifest["split"] == "test"]
    marked = set(test.loc[test["label"] == "Normal", "image_id"])
    folder = tmp_path / "build"
    shutil.copytree(demo / "build", folder, ignore=shutil.ignore_patterns(".cxrbuild", "tfds", "data"))
    assert find_identified(folder) == frozenset()
    mark_images(folder, marked)
    assert find_identified(folder) == marked
    before = train_baseline(
        demo / "build", recipe, out=tmp_path / "before", evaluate_only=trained.out / MODEL
    )
    seen = {name: drawn[name] for name in ("samples", "mistakes")}
    wrong = [axes.get_xlabel().replace("\n", "") for axes in seen["mistakes"].axes]
    assert set(wrong) & marked, "the model must mistake an image that is then hidden"
    after = train_baseline(folder, recipe, out=tmp_path / "after", evaluate_only=trained.out / MODEL)
    assert after.document.runs[0].metrics == before.document.runs[0].metrics
    shown = {axes.get_xlabel().replace("\n", "") for axes in drawn["mistakes"].axes}
    assert shown <= set(test["image_id"]) - marked | {""}
    assert len(shown_images(drawn["samples"])) == len(shown_images(seen["samples"])) - 2
    report = (after.out / "report.md").read_text()
    assert f"{len(marked)} test images with a readable name or birth date are in no figure." in report
    assert "in no figure" not in (before.out / "report.md").read_text()


def test_without_a_manifest_the_report_says_that_nothing_is_hidden(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(demo / "build" / "data", folder / "data")
    assert find_identified(folder) is None
    result = train_baseline(folder, recipe, out=tmp_path / "out", evaluate_only=trained.out / MODEL)
    assert "**None is hidden**" in (result.out / "report.md").read_text()
    assert "None is hidden" not in (trained.out / "report.md").read_text()
