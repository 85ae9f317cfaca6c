"""The drawing of the network's structure: the paper's Figure 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.baseline.drawing import BLUE, GREEN, GREY, ORANGE, drawing
from cxrbuild.catalog.network import ZHONG, Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    from matplotlib.patches import FancyBboxPatch

    count = len(network.blocks)
    side = network.side
    with drawing(path, 9.5, 4.4) as figure:
        axes = figure.subplots()
        axes.set(xlim=(-0.3, count + 3.2), ylim=(-0.1, 3.05))
        axes.axis("off")
        box, arrow = _pens(axes)
        box(0.2, 2.3, 0.6, f"input\n{side} x {side} x 3", GREY)
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
                BLUE,
            )
            arrow((number + 0.6, 1.63), (number + 0.6, 1.28))
            box(number + 0.6, 1.05, 0.42, f"global {network.pooling}\n{block.filters}", GREEN)
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
                facecolor=GREEN + "22",
                edgecolor=GREEN,
            )
        )
        axes.text(1.1 + count / 2, 0.23, f"concatenate 1: {width}", ha="center", va="center", fontsize=7)
        x = count + 1.75
        box(x, 1.6, 0.5, f"flatten\n{flat:,}", ORANGE)
        # The flattened features are those before the last block's pool.
        arrow((count + 1.02, 2.55), (x, 1.9))
        box(x, 0.23, 0.42, f"concatenate 2\n{width + flat:,}", ORANGE)
        arrow((x, 1.33), (x, 0.48))
        arrow((count + 1.04, 0.23), (x - 0.42, 0.23))
        head = [f"dense {dense.units}, ELU\ndropout {dense.dropout:g}" for dense in network.dense]
        label = "\n\n".join([*head, f"dense {classes}\nsoftmax"])
        box(x + 0.95, 1.3, 0.42 * len(head) + 0.9, label, GREY)
        arrow((x + 0.42, 0.3), (x + 0.75, 1.3 - 0.21 * len(head) - 0.47))
        axes.set_title(f"{parameters:,} parameters", fontsize=9)


def _draw_known(path: Path, network: Network, classes: int, parameters: int) -> None:
    scaling = {
        "unit": "0 to 1",
        "signed": "-1 to 1",
        "bytes": "0 to 255",
        "centred": "0 to 255, minus means of ImageNet",
        "standardized": "standardized as ImageNet",
    }[network.known.scaling]
    start = "random weights" if network.weights is None else f"weights of {network.weights}"
    with drawing(path, 9.5, 1.7) as figure:
        axes = figure.subplots()
        axes.set(xlim=(-0.3, 6.9), ylim=(0.2, 1.4))
        axes.axis("off")
        box, arrow = _pens(axes, width=1.6)
        boxes = [
            (f"input\n{network.side} x {network.side} x 3", GREY),
            (f"preprocessing\n{scaling}", GREEN),
            (f"{network.name}\n{network.known.paper}\n{start}", BLUE),
            (f"{classes} classes\nsoftmax", ORANGE),
        ]
        for number, (label, colour) in enumerate(boxes):
            x = 0.6 + 1.8 * number
            box(x, 0.8, 0.9, label, colour)
            if number:
                arrow((x - 0.98, 0.8), (x - 0.82, 0.8))
        axes.set_title(f"{parameters:,} parameters", fontsize=9)


def _pens(axes: Axes, width: float = 0.8) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return functions that draw a box with a label, and an arrow."""
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    def box(x: float, y: float, height: float, label: str, colour: str) -> None:
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
        axes.text(x, y, label, ha="center", va="center", fontsize=7)

    def arrow(start: tuple[float, float], end: tuple[float, float]) -> None:
        axes.add_patch(
            FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, color=GREY, shrinkA=0, shrinkB=0)
        )

    return box, arrow
