"""The pictures: each of the paper's Figures 1 to 6 has its counterpart, and two more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.baseline.input import Images
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 150,
    # Ids inside an SVG would otherwise be drawn anew each time.
    "svg.hashsalt": "cxrbuild",
}


@contextmanager
def _drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Give an empty figure, sizes in inches; write it as PNG and SVG, the same bytes for the same content."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
            with replacing(path.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, format=suffix[1:], metadata=metadata)


def draw_samples(path: Path, images: Images, classes: Sequence[str]) -> None:
    """Draw two test images of each class, as the network sees them (the paper's Figures 1 and 2)."""
    test = images.rows("test")
    with _drawing(path, 2.1 * len(classes), 4.6) as figure:
        axes = figure.subplots(2, len(classes), squeeze=False)
        for column, name in enumerate(classes):
            # Evenly from the rows, not the first two, which may be one patient's.
            of_class = test[images.labels[test] == column]
            for row, position in enumerate((len(of_class) // 3, 2 * len(of_class) // 3)):
                _film(axes[row, column], images.wide[of_class[position]], name if row == 0 else "")


def draw_network(path: Path, baseline: Baseline, classes: int, parameters: int) -> None:
    """Draw the network's structure (the paper's Figure 3)."""
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    network = baseline.network
    count = len(network.blocks)
    side = network.side
    with _drawing(path, 9.5, 4.4) as figure:
        axes = figure.subplots()
        axes.set(xlim=(-0.3, count + 3.2), ylim=(-0.1, 3.05))
        axes.axis("off")

        def box(x: float, y: float, height: float, words: str, colour: str) -> None:
            axes.add_patch(
                FancyBboxPatch(
                    (x - 0.4, y - height / 2),
                    0.8,
                    height,
                    boxstyle="round,pad=0.02",
                    facecolor=colour + "22",
                    edgecolor=colour,
                )
            )
            axes.text(x, y, words, ha="center", va="center", fontsize=7)

        def arrow(start: tuple[float, float], end: tuple[float, float]) -> None:
            axes.add_patch(
                FancyArrowPatch(
                    start, end, arrowstyle="-|>", mutation_scale=8, color=_GREY, shrinkA=0, shrinkB=0
                )
            )

        box(0.2, 2.3, 0.6, f"input\n{side} x {side} x 3", _GREY)
        width = 0
        for number, block in enumerate(network.blocks, 1):
            arrow((number + 0.02 if number > 1 else 0.62, 2.3), (number + 0.18, 2.3))
            pooled = side // 2
            box(
                number + 0.6,
                2.3,
                1.3,
                f"block {number}\n\n{block.convolutions} x conv 3x3\n{block.filters}, ELU\n"
                f"{side} x {side}\n\nmax pool 2x2\n{pooled} x {pooled}",
                _BLUE,
            )
            arrow((number + 0.6, 1.63), (number + 0.6, 1.28))
            box(number + 0.6, 1.05, 0.42, f"global {network.pooling}\n{block.filters}", _GREEN)
            arrow((number + 0.6, 0.82), (number + 0.6, 0.48))
            width += block.filters
            last, side = side, pooled
        flat = last * last * network.blocks[-1].filters
        axes.add_patch(
            FancyBboxPatch(
                (1.2, 0.02),
                count - 0.2,
                0.42,
                boxstyle="round,pad=0.02",
                facecolor=_GREEN + "22",
                edgecolor=_GREEN,
            )
        )
        axes.text(1.1 + count / 2, 0.23, f"concatenate 1: {width}", ha="center", va="center", fontsize=7)
        x = count + 1.75
        box(x, 1.6, 0.5, f"flatten\n{flat:,}", _ORANGE)
        # Taken before the last block's pool.
        arrow((count + 1.02, 2.55), (x, 1.9))
        box(x, 0.23, 0.42, f"concatenate 2\n{width + flat:,}", _ORANGE)
        arrow((x, 1.33), (x, 0.48))
        arrow((count + 1.04, 0.23), (x - 0.42, 0.23))
        head = [f"dense {dense.units}, ELU\ndropout {dense.dropout:g}" for dense in network.dense]
        words = "\n\n".join([*head, f"dense {classes}\nsoftmax"])
        box(x + 0.95, 1.3, 0.42 * len(head) + 0.9, words, _GREY)
        arrow((x + 0.42, 0.3), (x + 0.75, 1.3 - 0.21 * len(head) - 0.47))
        axes.set_title(f"{parameters:,} parameters", fontsize=9)


def describe_seeds(seeds: Sequence[str], most: int = 6) -> str:
    """Return seeds in words that a legend has room for.

    Examples
    --------
    >>> describe_seeds(["2", "3"])
    'seeds 2, 3'
    """
    if len(seeds) > most:
        return f"{len(seeds)} other seeds"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"


def draw_epochs(path: Path, histories: Mapping[str, Sequence[dict[str, Any]]], name: str) -> None:
    """Draw a metric by epoch, of training and of test, over the stages of the learning rate.

    The paper's Figures 4 and 5.

    Parameters
    ----------
    path
        The figure's path without its suffix.
    histories
        For each seed, for each epoch what was measured; the first is drawn strong, the others thin, and the
        legend says which are which.
    name
        ``accuracy`` or ``loss``.
    """
    from matplotlib.ticker import MaxNLocator

    with _drawing(path, 5.6, 3.4) as figure:
        axes = figure.subplots()
        first, *others = histories
        parts = [part for part in ("train", "validation", "test") if part in histories[first][0]]
        colours = dict(zip(("train", "validation", "test"), (_BLUE, _GREEN, _ORANGE), strict=True))
        for seed, history in histories.items():
            strong = seed == first
            epochs = [row["epoch"] for row in history]
            for part in parts:
                axes.plot(
                    epochs,
                    [row[part][name] for row in history],
                    color=colours[part],
                    marker="o" if strong else None,
                    markersize=3.5,
                    linewidth=1.6 if strong else 0.7,
                    alpha=1 if strong else 0.6,
                    label=part if strong else None,
                )
        if others:
            axes.plot([], [], color=_GREY, marker="o", markersize=3.5, linewidth=1.6, label=f"seed {first}")
            axes.plot([], [], color=_GREY, linewidth=0.7, alpha=0.6, label=describe_seeds(others))
        _shade_stages(axes, histories[first])
        axes.set(xlabel="epoch", ylabel=name + (" (train: weighted by class)" if name == "loss" else ""))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper center", ncols=len(parts) + 2 * bool(others), frameon=False)


def _shade_stages(axes: Axes, history: Sequence[dict[str, Any]]) -> None:
    rates = [row["learning_rate"] for row in history]
    firsts = [0, *(i for i in range(1, len(rates)) if rates[i] != rates[i - 1]), len(rates)]
    start = history[0]["epoch"] - 0.5
    axes.set_xlim(start, start + len(rates))
    axes.margins(y=0.12)
    for number, (first, end) in enumerate(pairwise(firsts)):
        axes.axvspan(start + first, start + end, color=_GREY, alpha=0.05 + 0.07 * (number % 2), linewidth=0)
        axes.text(
            start + (first + end) / 2,
            0.98,
            f"rate {rates[first]:.0e}".replace("e-0", "e-"),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=7.5,
            color=_GREY,
        )


def draw_confusion(path: Path, counts: NDArray[Any], classes: Sequence[str]) -> None:
    """Draw the confusion matrix of the test part (the paper's Figure 6)."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with _drawing(path, 0.7 + 1.1 * len(classes), 0.7 + 1.1 * len(classes)) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{shares[row, column]:.1%}",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
        ticks = range(len(classes))
        axes.set_xticks(ticks, list(classes))
        axes.set_yticks(ticks, list(classes), rotation=90, va="center")
        axes.set(xlabel="predicted", ylabel="actual")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)


def draw_reliability(path: Path, bins: Sequence[dict[str, Any]], error: float) -> None:
    """Draw how often predictions of a given confidence are right."""
    with _drawing(path, 4.2, 4.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=_GREY, linestyle=":", label="perfectly calibrated")
        upper.plot(
            [row["confidence"] for row in bins],
            [row["accuracy"] for row in bins],
            color=_BLUE,
            marker="o",
            label=f"test, expected calibration error {error:.3f}",
        )
        upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.03))
        upper.legend(frameon=False, fontsize=8)
        for row in bins:
            lower.bar(
                row["low"],
                row["count"],
                row["high"] - row["low"],
                align="edge",
                color=_BLUE,
                edgecolor="white",
            )
        lower.set(xlabel="confidence (greatest probability)", ylabel="images")


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
        The mistakes' rows, worst first.
    probabilities
        Of these rows, shape (len(rows), classes).
    classes
        The classes in the order of their numbers.
    """
    with _drawing(path, 8.0, 2.55 * max(1, -(-len(rows) // 4))) as figure:
        if not rows:
            figure.text(0.5, 0.5, "no mistakes", ha="center", va="center")
            return
        axes = figure.subplots(-(-len(rows) // 4), 4, squeeze=False).ravel()
        for axis in axes[len(rows) :]:
            axis.axis("off")
        for axis, row, probability in zip(axes, rows, probabilities, strict=False):
            truth, called = images.labels[row], probability.argmax()
            words = f"{classes[truth]} {probability[truth]:.2f}, called"
            words += f"\n{classes[called]} {probability[called]:.2f}"
            _film(axis, images.wide[row], words)
            name = str(images.table["image_id"].iat[row])
            axis.set_xlabel("\n".join(name[i : i + 32] for i in range(0, len(name), 32)), fontsize=5.5)


def _film(axes: Axes, grey: NDArray[np.uint8], title: str) -> None:
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
