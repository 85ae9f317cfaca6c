"""What all drawings share: colours, fonts, and writing them as PNG and SVG."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can distinguish.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
# A line is broken after these.
_BREAKABLE = re.compile(r"[^ _/,.-]*[ _/,.-]+|[^ _/,.-]+")
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 150,
    # Ids inside an SVG are random without it.
    "svg.hashsalt": "cxrbuild",
    # A `$` in the name of a class is text.
    "text.parse_math": False,
}


@contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure and write it as PNG and SVG: the same bytes for the same content.

    Parameters
    ----------
    path
        The path without its suffix.
    width, height
        Size in inches.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A character that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
            with replacing(path.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, format=suffix[1:], metadata=metadata)


def fit_text(text: str, inches: float, size: float) -> str:
    """Break lines so that a text is no wider than its place, at a space or sign where there is one.

    Parameters
    ----------
    text
        Its own line breaks are kept.
    inches
        The width of the place.
    size
        The size of the font in points.
    """
    fitted = []
    for line in text.split("\n"):
        fitted.append("")
        for word in _BREAKABLE.findall(line):
            if text_width(fitted[-1] + word.rstrip(), size) > inches and fitted[-1]:
                fitted.append("")
            for letter in word if text_width(word.rstrip(), size) > inches else [word]:
                if fitted[-1] and text_width((fitted[-1] + letter).rstrip(), size) > inches:
                    fitted.append("")
                fitted[-1] += letter
    return "\n".join(line.rstrip() for line in fitted)


def text_width(text: str, size: float) -> float:
    """Return the width of one line of text in inches, at a size of the font in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_STYLE["font.family"], size=size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def text_height(text: str, size: float) -> float:
    """Return the height of the lines of a text in inches, at a size of the font in points."""
    return (text.count("\n") + 1) * 1.25 * size / 72


def tick_counts(axis: Axis) -> None:
    """Let an axis of counts have ticks at whole numbers only, written as in tables."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def show_image(axes: Axes, grey: NDArray[np.uint8]) -> None:
    """Draw a grey image without axes."""
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
