"""The page of an explanation: one HTML file with figures and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact.baseline import Interval
from cxrbuild.artifact.explanation import MOST_SURVIVING, TESTS, ExplanationDocument
from cxrbuild.explanation.attribution import Attribution, probabilities_of
from cxrbuild.explanation.drawing import draw_image, draw_map
from cxrbuild.explanation.explained import METHODS, Explained, KnownLungs
from cxrbuild.explanation.regions import border_mask, share_out
from cxrbuild.explanation.selection import KINDS
from cxrbuild.files import write_bytes
from cxrbuild.progress import Progress
from cxrbuild.templates import html_environment

MAPS = "drawing maps"

# Single pixels of integrated gradients are too small to see.
_BLUR = 1.5
TITLES = {
    "grad_cam": "Grad-CAM",
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
}


@dataclass(frozen=True)
class Shown:
    """An image on the page.

    Attributes
    ----------
    image_id, source, label
        Of the image.
    predicted
        The predicted class.
    probability, true_class
        The probabilities of the predicted and of the true class.
    lungs_from
        Where its lungs are known from: ``mask``, ``region``, or empty.
    drawings
        Data URLs by title: the image, and a map of each method.
    shares
        For each method the shares in lungs, border and elsewhere.
    """

    image_id: str
    source: str | None
    label: str
    predicted: str
    probability: float
    true_class: float
    lungs_from: str
    drawings: dict[str, str]
    shares: dict[str, list[float | None]]


def draw_shown(
    explained: Explained,
    positions: Sequence[int],
    attribution: Attribution,
    lungs: KnownLungs,
    classes: list[str],
    progress: Progress,
) -> dict[int, Shown]:
    """Make the maps of the images that the page shows, and fill in the shares of their occlusion maps.

    Parameters
    ----------
    explained
        The images; their occlusion shares are filled in.
    positions
        The positions of those to show.
    attribution
        The model.
    lungs
        Where the lungs are known.
    classes
        The classes in the order of their numbers.
    progress
        Advanced for each image.
    """
    chosen = sorted(set(positions))
    selection = explained.selection
    part = replace(selection, rows=selection.rows[chosen], labels=selection.labels[chosen])
    ids = part.table["image_id"].tolist()
    border = border_mask(attribution.side)
    shown = {}
    with progress(MAPS, len(chosen), "image") as bar:
        for place, grey in part.batches(attribution.side):
            here, own = lungs.masks(ids[place], attribution.side)
            logits, cam = attribution.grad_cam(grey)
            gradients = attribution.integrated_gradients(grey, logits.argmax(axis=1))
            for number, position in enumerate(chosen[place]):
                occlusion = attribution.occlusion(grey[number], int(logits[number].argmax()))
                mask = None if here is None else here[number]
                explained.shares["occlusion"][position] = share_out(occlusion[np.newaxis], mask, border)[0]
                maps = dict(zip(METHODS, (cam[number], gradients[number], occlusion), strict=True))
                drawings = {"image": draw_image(grey[number], mask, border)} | {
                    TITLES[method]: draw_map(
                        grey[number], values, blur=_BLUR if method == "integrated_gradients" else 0
                    )
                    for method, values in maps.items()
                }
                lungs_from = "" if here is None else "mask" if own[number] else "region"
                shown[position] = _describe(explained, position, classes, drawings, lungs_from)
                bar.update()
    return shown


def write_page(
    path: Path,
    document: ExplanationDocument,
    chosen: Mapping[tuple[str, str], Sequence[int]],
    shown: Mapping[int, Shown],
    hidden: int | None,
) -> None:
    """Write the page: one file without an external address.

    Parameters
    ----------
    path
        The file.
    document
        The figures.
    chosen
        The positions of the images by class and kind.
    shown
        The images by position.
    hidden
        Number of explained images that must not be shown; ``None`` where no review is known.
    """
    environment = html_environment("cxrbuild.explanation")
    environment.filters["interval"] = _format_limits
    environment.filters["share"] = _format_share
    text = environment.get_template("page.html.j2").render(
        e=document,
        tests=TESTS,
        titles=TITLES,
        kinds=KINDS,
        most_surviving=MOST_SURVIVING,
        images={key: [shown[position] for position in positions] for key, positions in chosen.items()},
        hidden=hidden,
    )
    write_bytes(path, text.encode())


def _describe(
    explained: Explained, position: int, classes: list[str], drawings: dict[str, str], lungs_from: str
) -> Shown:
    row = explained.selection.table.iloc[position]
    probabilities = probabilities_of(explained.logits["whole"][position : position + 1])[0]
    label = int(explained.selection.labels[position])
    return Shown(
        image_id=row["image_id"],
        source=row["source"] if isinstance(row["source"], str) else None,
        label=classes[label],
        predicted=classes[int(probabilities.argmax())],
        probability=float(probabilities.max()),
        true_class=float(probabilities[label]),
        lungs_from=lungs_from,
        drawings=drawings,
        shares={method: _as_shares(explained.shares[method][position]) for method in METHODS},
    )


def _as_shares(row: NDArray[np.float32]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in row]


def _format_limits(figure: Interval) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"


def _format_share(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.0%}"
