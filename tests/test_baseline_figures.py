"""The drawings of the baseline: which images they show, and that nothing overlaps or leaves the figure."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from cxrbuild.artifact.baseline import Epoch, Metrics, Reliability, ReliabilityBin
from cxrbuild.artifact.names import MODEL
from cxrbuild.baseline import BaselineResult, train_baseline
from cxrbuild.baseline.drawing import fit_text, text_width
from cxrbuild.baseline.figures import (
    draw_confusion,
    draw_counts,
    draw_epochs,
    draw_mistakes,
    draw_reliability,
    draw_samples,
)
from cxrbuild.baseline.image_table import find_identified
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.network_figure import draw_network
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.network import Network
from cxrbuild.records import read_records, write_records

# TensorFlow takes seconds to load: all its tests run in one worker.
pytestmark = pytest.mark.xdist_group("tensorflow")


def shown_images(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def make_images(labels: list[int]) -> Images:
    """Return test images of 4 pixels, each in a grey of its own."""
    table = pd.DataFrame({"image_id": [f"i{n}" for n in range(len(labels))], "split": "test"})
    grey = np.repeat(np.arange(len(labels), dtype=np.uint8), 4).reshape(-1, 2, 2)
    return Images(table, np.array(labels, np.int32), grey, grey)


def test_samples_are_two_different_images_of_each_class(
    tmp_path: Path, drawn_figures: dict[str, Figure]
) -> None:
    images = make_images([0, 0, 0, 0, 1, 2, 2])
    draw_samples(tmp_path / "samples", images, np.array([0, 1, 2, 3, 4, 6]), ["a", "b", "c"])
    greys = sorted(int(image[0, 0]) for image in shown_images(drawn_figures["samples"]))
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
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path, drawn_figures: dict[str, Figure]
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
    seen = {name: drawn_figures[name] for name in ("samples", "mistakes")}
    wrong = [axes.get_xlabel().replace("\n", "") for axes in seen["mistakes"].axes]
    assert set(wrong) & marked, "the model must mistake an image that is then hidden"
    after = train_baseline(folder, recipe, out=tmp_path / "after", evaluate_only=trained.out / MODEL)
    assert after.document.runs[0].metrics == before.document.runs[0].metrics
    shown = {axes.get_xlabel().replace("\n", "") for axes in drawn_figures["mistakes"].axes}
    assert shown <= set(test["image_id"]) - marked | {""}
    assert len(shown_images(drawn_figures["samples"])) == len(shown_images(seen["samples"])) - 2
    report = (after.out / "report.md").read_text()
    assert f"{len(marked)} test images with a readable name or birth date are in no figure." in report
    assert "in no figure" not in (before.out / "report.md").read_text()


@pytest.mark.usefixtures("without_figures")
def test_without_a_manifest_the_report_says_that_nothing_is_hidden(
    demo: Path, recipe: Recipe, trained: BaselineResult, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(demo / "build" / "data", folder / "data")
    assert find_identified(folder) is None
    result = train_baseline(folder, recipe, out=tmp_path / "out", evaluate_only=trained.out / MODEL)
    assert "**None is hidden**" in (result.out / "report.md").read_text()
    assert "None is hidden" not in (trained.out / "report.md").read_text()


# The layout


def texts_of(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return all texts that can be seen, with their places in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    hidden = [label for axes in figure.axes for label in unseen_labels(axes)]
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden
    ]


def unseen_labels(axes: Axes) -> list[Text]:
    """Return the labels of ticks beyond the limits of their axis, or of axes that are off."""
    return [
        label
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not (axes.axison and min(limits) - 1e-9 <= tick.get_loc() <= max(limits) + 1e-9)
    ]


def layout_problems(figure: Figure) -> list[str]:
    """Return which texts overlap, and which leave the figure."""
    texts = texts_of(figure)
    edge = figure.bbox.padded(1)
    outside = [
        f"{text!r} leaves the figure"
        for text, place in texts
        if not (edge.contains(place.x0, place.y0) and edge.contains(place.x1, place.y1))
    ]
    return outside + [
        f"{one!r} overlaps {other!r}"
        for (one, a), (other, b) in combinations(texts, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


LONG = ["Tuberculosis (active)", "No acute cardiopulmonary finding", "W" * 40, "Pneumonia_viral_or_bacterial"]


def test_overlapping_texts_are_found() -> None:
    figure = Figure()
    figure.text(0.5, 0.5, "one")
    figure.text(0.51, 0.5, "other")
    figure.text(0.99, 0.1, "outside")
    assert layout_problems(figure) == ["'outside' leaves the figure", "'one' overlaps 'other'"]


@pytest.mark.parametrize("classes", [LONG, ["COVID-19", "Normal"], LONG * 2], ids=["long", "short", "many"])
def test_names_of_classes_do_not_overlap(
    tmp_path: Path, laid_out_figures: dict[str, Figure], classes: list[str]
) -> None:
    names = [f"{name}{n or ''}" for n, name in enumerate(classes)]
    size = len(names)
    counts = {
        split: {name: count + n for n, name in enumerate(names)}
        for split, count in (("train", 1_234_567), ("validation", 12_345), ("test", 123_456))
    }
    draw_counts(tmp_path / "counts", counts, names)
    draw_confusion(tmp_path / "confusion", np.arange(size * size).reshape(size, size) * 12_345, names)
    images = make_images([0, 0, 1, 1])
    images.table["image_id"] = "a-source-with-a-long-name-" + images.table["image_id"] * 20
    draw_samples(tmp_path / "samples", images, np.arange(4), names)
    probabilities = np.full((4, size), 1 / size, np.float32)
    draw_mistakes(tmp_path / "mistakes", images, [0, 1, 2, 3], probabilities, names)
    found = {name: layout_problems(figure) for name, figure in laid_out_figures.items()}
    assert found == {"counts": [], "confusion": [], "samples": [], "mistakes": []}
    shown = " ".join(
        text for text, _ in texts_of(laid_out_figures["counts"]) + texts_of(laid_out_figures["confusion"])
    )
    assert "1,234,567" in shown
    assert "1,200,000" in shown
    assert f"{(size * size - 1) * 12_345:,}" in shown
    for name in names:
        assert name.replace(" ", "") in shown.replace("\n", "").replace(" ", "")


WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"


@pytest.mark.parametrize(
    "network",
    [
        {"name": "MobileNetV2", "weights": WEIGHTS},
        {"name": "VGG19", "weights": "w" * 200},
        {},
        {"pooling": "average", "dense": [{"units": 4096, "dropout": 0.25}] * 9},
        {"side": 32, "blocks": [{"filters": 4, "convolutions": 1}], "dense": []},
        {"side": 512, "blocks": [{"filters": 1024, "convolutions": 12}] * 7},
    ],
    ids=["weights", "endless", "paper", "dense", "small", "blocks"],
)
def test_each_label_of_a_network_is_in_its_box(
    tmp_path: Path, laid_out_figures: dict[str, Figure], network: dict[str, object]
) -> None:
    draw_network(tmp_path / "network", Network.model_validate(network), 3, 1_234_567)
    figure = laid_out_figures["network"]
    assert layout_problems(figure) == []
    patches = figure.axes[0].patches
    boxes = [patch.get_window_extent() for patch in patches if isinstance(patch, FancyBboxPatch)]
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)
    inside = figure.bbox.padded(1)
    assert all(inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) for box in boxes)
    labels = texts_of(figure)
    assert len(labels) == len(boxes) + 1
    for label, place in labels:
        within = [
            box for box in boxes
            if box.x0 < place.x0 and place.x1 < box.x1 and box.y0 < place.y0 and place.y1 < box.y1
        ]  # fmt: skip
        assert len(within) == 1 or label == "1,234,567 parameters"


def history(rates: list[float]) -> list[Epoch]:
    return [
        Epoch(
            epoch=n,
            learning_rate=rate,
            metrics={
                split: Metrics(loss=1 / n, accuracy=0.5, precision=0.5, recall=0.5)
                for split in ("train", "validation", "test")
            },
        )
        for n, rate in enumerate(rates, 1)
    ]


@pytest.mark.parametrize(
    "rates",
    [[1e-3], [1e-3] * 2, [4e-4] * 3 + [2e-4] * 3 + [1e-4] * 4, [2.5e-4, 1e-4] * 2 + [5e-5] * 46],
    ids=["one epoch", "two epochs", "stages", "short stages"],
)
def test_epochs_are_whole_numbers(
    tmp_path: Path, laid_out_figures: dict[str, Figure], rates: list[float]
) -> None:
    seeds = [str(2**31 - 1 - n) for n in range(6)]
    draw_epochs(tmp_path / "loss", dict.fromkeys(seeds, history(rates)), "loss")
    figure = laid_out_figures["loss"]
    assert layout_problems(figure) == []
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) for tick in ticks)
    drawn_rates = {text for text, _ in texts_of(figure) if text.startswith("rate")}
    # A stage of one epoch of 50 has no room for its label.
    assert drawn_rates == {"rate 5e-5"} if len(rates) == 50 else len(drawn_rates) == len(set(rates))


def test_few_images_have_whole_ticks_and_no_dot_is_cut(
    tmp_path: Path, laid_out_figures: dict[str, Figure]
) -> None:
    bins = [
        ReliabilityBin(low=0.5, high=0.6, count=2, confidence=0.55, accuracy=0.5),
        ReliabilityBin(low=0.9, high=1.0, count=3, confidence=1.0, accuracy=1.0),
    ]
    draw_reliability(tmp_path / "reliability", Reliability(bins=bins, expected_calibration_error=0.02))
    upper, lower = laid_out_figures["reliability"].axes
    (dots,) = [line for line in upper.lines if line.get_marker() == "o"]
    assert not dots.get_clip_on()
    draw_counts(tmp_path / "counts", {"train": {"a": 3, "b": 2}, "test": {"a": 1, "b": 1}}, ["a", "b"])
    for axes in (lower, laid_out_figures["counts"].axes[0]):
        assert all(tick == round(tick) for tick in axes.get_yticks())
    assert layout_problems(laid_out_figures["reliability"]) == []


def test_a_text_is_broken_where_it_can_be_read() -> None:
    assert fit_text("No acute cardiopulmonary finding", 1.1, 8.5) == "No acute\ncardiopulmonary\nfinding"
    assert fit_text("a\nb", 1, 8) == "a\nb"
    for text in ("", "one two", WEIGHTS, "W" * 99, "\N{CJK UNIFIED IDEOGRAPH-80BA}" * 50, "no  break" * 9):
        for inches in (0.2, 1.0, 3.0):
            fitted = fit_text(text, inches, 8)
            assert all(text_width(line, 8) <= inches for line in fitted.split("\n"))
            assert "".join(fitted.split()) == "".join(text.split())
