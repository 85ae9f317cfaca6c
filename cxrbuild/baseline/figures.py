"""The drawings of a result: the paper's Figures 1 to 6 and Table 1, reliability and the worst mistakes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import BaselineDocument, Epoch, Reliability
from cxrbuild.baseline.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    drawing,
    fit_text,
    show_image,
    text_height,
    text_width,
    tick_counts,
)
from cxrbuild.baseline.evaluation import find_mistakes
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.network_figure import draw_network
from cxrbuild.baseline.predictions import ModelPredictions
from cxrbuild.errors import noun_of
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BY_EPOCH = ("accuracy", "loss")
# The width of the epochs in their drawings, with the widest labels next to them.
_INCHES_OF_EPOCHS = 4.6
# Sizes of fonts in points: of labels at data, of the names of classes, and of ids.
_SMALL, _NAME, _ID = 7.5, 8.5, 5.5


def figure_names(predictions: Sequence[ModelPredictions]) -> list[str]:
    """Return the names of the drawings; a saved model has none of its epochs."""
    by_epoch = _BY_EPOCH if predictions[0].history else ()
    return ["counts", "samples", "network", "confusion", *by_epoch, "reliability", "mistakes"]


def draw_figures(
    folder: Path,
    images: Images,
    predictions: Sequence[ModelPredictions],
    document: BaselineDocument,
    identified: Collection[str] | None,
) -> None:
    """Draw every figure, as PNG and as SVG.

    Parameters
    ----------
    folder
        The folder of the drawings.
    images
        The dataset.
    predictions
        The predictions of each model; drawings of one model are of the first.
    document
        The figures of the models.
    identified
        The ids of images that must not be shown; ``None`` where no review is known.
    """
    classes, first = document.classes, document.runs[0]
    test = images.rows("test")
    test = test[~images.table["image_id"].iloc[test].isin(identified or ()).to_numpy(bool)]
    draw_counts(folder / "counts", document.dataset.counts, classes)
    draw_samples(folder / "samples", images, test, classes)
    draw_network(folder / "network", document.settings.network, len(classes), document.parameters)
    for name in _BY_EPOCH:
        if name in document.figures:
            draw_epochs(folder / name, {str(run.seed): run.history for run in document.runs}, name)
    draw_confusion(folder / "confusion", np.array([first.confusion[name] for name in classes]), classes)
    draw_reliability(folder / "reliability", first.reliability)
    probabilities = predictions[0].probabilities
    worst = test[find_mistakes(images.table.iloc[test], images.labels[test], probabilities[test])]
    draw_mistakes(folder / "mistakes", images, worst.tolist(), probabilities[worst], classes)


def draw_counts(path: Path, counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> None:
    """Draw the number of images of each class and split as bars (the paper's Table 1)."""
    colours = dict(zip(SPLITS, (BLUE, GREEN, ORANGE), strict=True))
    width = 0.8 / len(counts)
    numbers = [f"{count:,}" for of_split in counts.values() for count in of_split.values()]
    # As wide as the labels of the bars need, each class has as much room as its bars.
    pitch = max(1.3, (max(text_width(number, _SMALL) for number in numbers) + 0.05) / width)
    labels = [fit_text(name, 0.92 * pitch, _NAME) for name in classes]
    height = 3.0 + max(text_height(label, _NAME) for label in labels)
    with drawing(path, 1.6 + pitch * len(classes), height) as figure:
        axes = figure.subplots()
        for number, (split, of_split) in enumerate(counts.items()):
            bars = axes.bar(
                np.arange(len(classes)) + width * (number - (len(counts) - 1) / 2),
                [of_split[name] for name in classes],
                width,
                color=colours[split],
                label=split,
            )
            axes.bar_label(bars, fmt="{:,.0f}", fontsize=_SMALL)
        axes.set_xticks(range(len(classes)), labels, fontsize=_NAME)
        axes.set_xlim(-0.5, len(classes) - 0.5)
        axes.set(ylabel="images")
        tick_counts(axes.yaxis)
        axes.margins(y=0.1)
        figure.legend(loc="outside upper center", ncols=len(counts), frameon=False)


def draw_samples(path: Path, images: Images, rows: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Draw two test images of each class, as the network sees them (the paper's Figures 1 and 2).

    Parameters
    ----------
    path
        The figure's path without its suffix.
    images
        The dataset.
    rows
        The rows of the test images that may be shown.
    classes
        The classes in the order of their numbers.
    """
    titles = [fit_text(name, 1.9, _NAME) for name in classes]
    height = 4.45 + max(text_height(title, _NAME) for title in titles)
    with drawing(path, 2.1 * len(classes), height) as figure:
        axes = figure.subplots(2, len(classes), squeeze=False)
        for column in range(len(classes)):
            of_class = rows[images.labels[rows] == column]
            # Spread over the rows, because neighbours are often of one patient. An only image is drawn once.
            positions = sorted({len(of_class) // 3, 2 * len(of_class) // 3}) if len(of_class) else []
            for axis, position in zip(axes[:, column], positions, strict=False):
                show_image(axis, images.for_testing[of_class[position]])
            for axis in axes[len(positions) :, column]:
                axis.axis("off")
            axes[0, column].set_title(titles[column], fontsize=_NAME)


def describe_seeds(seeds: Sequence[str], most: int = 6) -> str:
    """Return the seeds as text that fits into a legend.

    Examples
    --------
    >>> describe_seeds(["2", "3"])
    'seeds 2, 3'
    """
    if len(seeds) > most:
        return f"{len(seeds)} other seeds"
    return f"{noun_of(len(seeds), 'seed')} {', '.join(seeds)}"


def _name_others(seeds: Sequence[str], inches: float = 2.5) -> str:
    """Return the seeds as text that fits into a legend, however many digits they have."""
    text = describe_seeds(seeds)
    return text if text_width(text, 9) <= inches else describe_seeds(seeds, most=0)


def draw_epochs(path: Path, histories: Mapping[str, Sequence[Epoch]], name: str) -> None:
    """Draw a metric of every split by epoch, over the stages of the learning rate.

    These are the paper's Figures 5 and 6.

    Parameters
    ----------
    path
        The figure's path without its suffix.
    histories
        The figures of each epoch, by seed. The first seed is drawn strong, the others thin.
    name
        ``accuracy`` or ``loss``.
    """
    with drawing(path, 5.6, 3.4) as figure:
        axes = figure.subplots()
        first, *others = histories
        splits = [split for split in SPLITS if split in histories[first][0].metrics]
        colours = dict(zip(SPLITS, (BLUE, GREEN, ORANGE), strict=True))
        for seed, history in histories.items():
            strong = seed == first
            epochs = [epoch.epoch for epoch in history]
            for split in splits:
                axes.plot(
                    epochs,
                    [getattr(epoch.metrics[split], name) for epoch in history],
                    color=colours[split],
                    marker="o" if strong else None,
                    markersize=3.5,
                    linewidth=1.6 if strong else 0.7,
                    alpha=1 if strong else 0.6,
                    label=split if strong else None,
                )
        if others:
            axes.plot([], [], color=GREY, marker="o", markersize=3.5, linewidth=1.6, label=f"seed {first}")
            axes.plot([], [], color=GREY, linewidth=0.7, alpha=0.6, label=_name_others(others))
        _shade_stages(axes, histories[first])
        axes.set(xlabel="epoch", ylabel=name + (" (train: weighted by class)" if name == "loss" else ""))
        tick_counts(axes.xaxis)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)


def _shade_stages(axes: Axes, history: Sequence[Epoch]) -> None:
    rates = [epoch.learning_rate for epoch in history]
    firsts = [0, *(i for i in range(1, len(rates)) if rates[i] != rates[i - 1]), len(rates)]
    start = history[0].epoch - 0.5
    axes.set_xlim(start, start + len(rates))
    inches = _INCHES_OF_EPOCHS / len(rates)
    rotated = False
    for number, (first, end) in enumerate(pairwise(firsts)):
        axes.axvspan(start + first, start + end, color=GREY, alpha=0.05 + 0.07 * (number % 2), linewidth=0)
        label = f"rate {_format_rate(rates[first])}"
        room = (end - first) * inches
        if room < text_height(label, _SMALL):
            continue
        vertical = room < text_width(label, _SMALL)
        rotated = rotated or vertical
        axes.text(
            start + (first + end) / 2,
            0.98,
            label,
            rotation=90 if vertical else 0,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=_SMALL,
            color=GREY,
        )
    # The labels are above the curves.
    axes.margins(y=0.4 if rotated else 0.12)


def _format_rate(rate: float) -> str:
    """Return a learning rate with all its digits.

    Examples
    --------
    >>> _format_rate(4e-4), _format_rate(0.00025), _format_rate(0.1)
    ('4e-4', '2.5e-4', '1e-1')
    """
    digits, exponent = f"{rate:.5e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def draw_confusion(path: Path, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Draw the confusion matrix of the test split (the paper's Figure 4)."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = [fit_text(name, 1.0, _NAME) for name in classes]
    names = max(text_height(label, _NAME) for label in labels)
    pitch = max(1.1, max(text_width(f"{count:,}", 9) for count in counts.ravel()) + 0.2)
    side = 0.6 + names + pitch * len(classes)
    with drawing(path, side, side) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}\n{shares[row, column]:.1%}",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
        ticks = range(len(classes))
        axes.set_xticks(ticks, labels, fontsize=_NAME)
        axes.set_yticks(ticks, labels, fontsize=_NAME, rotation=90, va="center")
        axes.set(xlabel="predicted", ylabel="actual")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)


def draw_reliability(path: Path, reliability: Reliability) -> None:
    """Draw how often predictions of a given confidence are right."""
    with drawing(path, 4.2, 4.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfectly calibrated")
        upper.plot(
            [row.confidence for row in reliability.bins],
            [row.accuracy for row in reliability.bins],
            color=BLUE,
            marker="o",
            # A dot at 1 is drawn whole.
            clip_on=False,
            zorder=3,
            label=f"test, expected calibration error {reliability.expected_calibration_error:.3f}",
        )
        upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.03))
        upper.legend(frameon=False, fontsize=8)
        for row in reliability.bins:
            lower.bar(
                row.low,
                row.count,
                row.high - row.low,
                align="edge",
                color=BLUE,
                edgecolor="white",
            )
        lower.set(xlabel="confidence (greatest probability)", ylabel="images")
        tick_counts(lower.yaxis)


def draw_mistakes(
    path: Path,
    images: Images,
    rows: Sequence[int],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
) -> None:
    """Draw the worst mistakes as a contact sheet.

    Parameters
    ----------
    path
        The figure's path without its suffix.
    images
        The dataset.
    rows
        The rows of the mistakes, the worst first.
    probabilities
        Of these rows, shape (len(rows), classes).
    classes
        The classes in the order of their numbers.
    """
    captions = []
    for row, probability in zip(rows, probabilities, strict=True):
        truth, predicted = images.labels[row], probability.argmax()
        title = f"{classes[truth]} {probability[truth]:.2f}, predicted"
        title += f"\n{classes[predicted]} {probability[predicted]:.2f}"
        name = str(images.table["image_id"].iat[row])
        captions.append((fit_text(title, 1.85, _NAME), fit_text(name, 1.85, _ID)))
    lines = max((text_height(title, _NAME) + text_height(name, _ID) for title, name in captions), default=0)
    count = max(1, -(-len(rows) // 4))
    with drawing(path, 8.0, (2.0 + lines) * count) as figure:
        if not rows:
            figure.text(0.5, 0.5, "no mistakes to show", ha="center", va="center")
            return
        axes = figure.subplots(count, 4, squeeze=False).ravel()
        for axis in axes[len(rows) :]:
            axis.axis("off")
        for axis, row, (title, name) in zip(axes, rows, captions, strict=False):
            show_image(axis, images.for_testing[row])
            axis.set_title(title, fontsize=_NAME)
            axis.set_xlabel(name, fontsize=_ID)
