"""The drawing of the network's structure: the paper's Figure 3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.baseline.drawing import BLUE, GREEN, GREY, ORANGE, drawing, fit_text, text_height
from cxrbuild.catalog.network import ZHONG, Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches: the width of a box, the distance of the middles of two blocks, the middle of the
# input.
_WIDTH, _STEP, _INPUT = 1.04, 1.27, 0.65
_FONT = 7


def draw_network(path: Path, network: Network, classes: int, parameters: int) -> None:
    """Draw the network's structure; of a network known by name, its input, its name and its output.

    Parameters
    ----------
    path
        The path without its suffix.
    network
        The declaration.
    classes
        Number of outputs.
    parameters
        Number of parameters, for the title.
    """
    if network.name != ZHONG:
        _draw_known(path, network, classes, parameters)
        return
    count = len(network.blocks)
    side = network.side
    head = [f"dense {dense.units}, ELU\ndropout {dense.dropout:g}" for dense in network.dense]
    output = "\n\n".join([*head, f"dense {classes}\nsoftmax"])
    # A head of many layers makes the drawing higher.
    of_head = max(1.6, text_height(output, _FONT) + 0.3)
    x = (count + 1.75) * _STEP
    with _canvas(path, x + 2.0, max(4.0, of_head + 0.1), parameters) as axes:
        box, arrow = _pens(axes)
        box(_INPUT, 2.95, 0.84, f"input\n{side} x {side} x 3", GREY)
        width = 0
        for number, block in enumerate(network.blocks, 1):
            middle = (number + 0.6) * _STEP
            before = middle - _STEP if number > 1 else _INPUT
            arrow((before + _WIDTH / 2 + 0.02, 2.95), (middle - _WIDTH / 2 - 0.02, 2.95))
            pooled = side // 2
            box(
                middle,
                2.95,
                1.82,
                f"block {number}\n\n{block.convolutions} x conv 3x3\n{block.filters}, ELU\n"
                f"{side} x {side}\n\nmax pool 2x2\n{pooled} x {pooled}",
                BLUE,
            )
            arrow((middle, 2.01), (middle, 1.6))
            box(middle, 1.3, 0.58, f"global {network.pooling}\n{block.filters}", GREEN)
            arrow((middle, 0.98), (middle, 0.62))
            width += block.filters
            last, side = side, pooled
        flat = last * last * network.blocks[-1].filters
        first, end = 1.6 * _STEP - _WIDTH / 2, (count + 0.6) * _STEP + _WIDTH / 2
        box((first + end) / 2, 0.33, 0.58, f"concatenate 1: {width}", GREEN, width=end - first)
        box(x, 2.05, 0.7, f"flatten\n{flat:,}", ORANGE)
        # The flattened features are those before the last block's pool.
        arrow((end, 3.3), (x, 2.42))
        box(x, 0.33, 0.58, f"concatenate 2\n{width + flat:,}", ORANGE)
        arrow((x, 1.68), (x, 0.64))
        arrow((end + 0.02, 0.33), (x - _WIDTH / 2 - 0.02, 0.33))
        right = x + _STEP + 0.1
        box(right, 0.04 + of_head / 2, of_head, output, GREY)
        arrow((x + _WIDTH / 2 + 0.02, 0.33), (right - _WIDTH / 2 - 0.02, 0.33))


def _draw_known(path: Path, network: Network, classes: int, parameters: int) -> None:
    scaling = {
        "unit": "0 to 1",
        "signed": "-1 to 1",
        "bytes": "0 to 255",
        "centred": "0 to 255, minus means of ImageNet",
        "standardized": "standardized as ImageNet",
    }[network.known.scaling]
    start = "random weights" if network.weights is None else f"weights of {network.weights}"
    width = 2.1
    boxes = [
        (fit_text(label, width - 0.15, _FONT), colour)
        for label, colour in (
            (f"input\n{network.side} x {network.side} x 3", GREY),
            (f"preprocessing\n{scaling}", GREEN),
            (f"{network.name}\n{network.known.paper}\n{start}", BLUE),
            (f"{classes} classes\nsoftmax", ORANGE),
        )
    ]
    height = max(1.15, *(text_height(label, _FONT) + 0.2 for label, _ in boxes))
    with _canvas(path, 9.5, height + 0.1, parameters) as axes:
        box, arrow = _pens(axes)
        for number, (label, colour) in enumerate(boxes):
            x = 1.2 + 2.37 * number
            box(x, height / 2 + 0.05, height, label, colour, width=width)
            if number:
                arrow((x - 2.37 + width / 2 + 0.02, height / 2), (x - width / 2 - 0.02, height / 2))


@contextmanager
def _canvas(path: Path, width: float, height: float, parameters: int) -> Iterator[Axes]:
    """Yield axes in inches, which fill the figure up to a line with the number of parameters."""
    title = 0.35
    with drawing(path, width, height + title) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, height + title))
        axes.axis("off")
        axes.text(width / 2, height + title / 2, f"{parameters:,} parameters", ha="center", va="center")
        yield axes


def _pens(axes: Axes) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return functions that draw a box with a label, and an arrow."""
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    def box(x: float, y: float, height: float, label: str, colour: str, *, width: float = _WIDTH) -> None:
        axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle="round,pad=0.02",
                facecolor=colour + "22",
                edgecolor=colour,
            )
        )
        axes.text(x, y, label, ha="center", va="center", fontsize=_FONT)

    def arrow(start: tuple[float, float], end: tuple[float, float]) -> None:
        axes.add_patch(
            FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, color=GREY, shrinkA=0, shrinkB=0)
        )

    return box, arrow
