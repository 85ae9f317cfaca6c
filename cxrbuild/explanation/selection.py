"""The images that the page shows of each class: most confident, worst, most driven by the border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrbuild.explanation.attribution import probabilities_of
from cxrbuild.explanation.explained import Explained

MOST = 4
# The order of the page.
KINDS = {
    "most confident": "Predicted right, with the greatest probability.",
    "worst": "Predicted wrong, with the least probability of the true class.",
    "most driven by the border": "With the greatest share of the integrated gradients in the border.",
}
_BORDER = 1


def choose(
    explained: Explained, classes: list[str], hidden: NDArray[np.bool_]
) -> dict[tuple[str, str], list[int]]:
    """Return the positions of the images to show, by class and kind.

    Parameters
    ----------
    explained
        The images.
    classes
        The classes in the order of their numbers.
    hidden
        Images that must not be shown, shape (n,).
    """
    labels, predicted = explained.selection.labels, explained.predicted
    truth = probabilities_of(explained.logits["whole"])[np.arange(len(labels)), labels]
    border = np.nan_to_num(explained.shares["integrated_gradients"][:, _BORDER])
    right = predicted == labels
    # Each kind: which images qualify, and what the first of them has least of.
    orders = dict(zip(KINDS, ((right, -truth), (~right, truth), (border > 0, -border)), strict=True))
    ids = explained.selection.table["image_id"].to_numpy()
    chosen = {}
    for number, name in enumerate(classes):
        for kind, (qualifies, value) in orders.items():
            rows = np.flatnonzero((labels == number) & qualifies & ~hidden)
            order = np.lexsort((ids[rows], value[rows]))
            chosen[name, kind] = rows[order][:MOST].tolist()
    return chosen
