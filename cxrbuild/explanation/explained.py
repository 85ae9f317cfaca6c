"""Predict, black out and attribute the images, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.explanation.attribution import Attribution
from cxrbuild.explanation.blackout import MeanImage, black_out_inside, black_out_lungs, mean_greys
from cxrbuild.explanation.images import Selection
from cxrbuild.explanation.lungs import MaskFile, Region
from cxrbuild.explanation.regions import Mask, border_mask, share_out
from cxrbuild.progress import Progress

EXPLAINING, PREDICTING = "explaining images", "predicting validation images"

Floats = NDArray[np.float32]
METHODS = ("grad_cam", "integrated_gradients", "occlusion")


@dataclass(frozen=True)
class KnownLungs:
    """Where the lungs of the images are known.

    Attributes
    ----------
    files
        The usable masks by ``image_id``.
    region
        The region that all masks make, ``None`` without masks.
    """

    files: dict[str, MaskFile]
    region: Region | None

    def masks(self, ids: list[str], side: int) -> tuple[Mask | None, NDArray[np.bool_]]:
        """Return the lungs of images, and which of them are from the image's own mask.

        Parameters
        ----------
        ids
            The ids of the images.
        side
            Side in pixels.

        Returns
        -------
        lungs
            Shape (n, side, side): an image without a mask has the region. ``None`` without masks.
        own
            Shape (n,).
        """
        own = np.array([name in self.files for name in ids], bool)
        if self.region is None:
            return None, own
        lungs = np.repeat(self.region.mask[np.newaxis], len(ids), axis=0)
        for place in np.flatnonzero(own):
            mask = self.files[ids[place]].read(side)
            # It was read once for the region.
            assert not isinstance(mask, str)
            lungs[place] = mask
        return lungs, own


@dataclass(frozen=True)
class Explained:
    """What is known of each explained image.

    Attributes
    ----------
    selection
        The images.
    logits
        Shape (n, classes), by blackout test.
    masked_logits
        Of the images with a mask of their own, shape (images with a mask, classes), by blackout test: empty
        where the tests black out each image's own mask anyway.
    own
        Which images have a mask of their own, shape (n,).
    areas
        The areas of lungs, border and the rest as shares of the image, shape (n, 3).
    shares
        The shares of the attribution in the three, shape (n, 3), by method.
    """

    selection: Selection
    logits: dict[str, Floats]
    masked_logits: dict[str, Floats]
    own: NDArray[np.bool_]
    areas: Floats
    shares: dict[str, Floats]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The predicted class numbers, shape (n,)."""
        return np.asarray(self.logits["whole"].argmax(axis=1))

    @property
    def all_masked(self) -> bool:
        """Whether every image has a mask of its own."""
        return bool(self.own.all())


def explain_images(
    selection: Selection,
    attribution: Attribution,
    lungs: KnownLungs,
    *,
    classes: int,
    occlude: bool,
    progress: Progress,
) -> Explained:
    """Predict, black out and attribute every image of a selection.

    Parameters
    ----------
    selection
        The images.
    attribution
        The model.
    lungs
        Where the lungs are known.
    classes
        Number of classes.
    occlude
        Whether to make the occlusion map of every image, which takes 65 predictions.
    progress
        Advanced for each image.
    """
    count, side = len(selection), attribution.side
    ids = selection.table["image_id"].tolist()
    own = np.array([name in lungs.files for name in ids], bool)
    border = border_mask(side)
    areas = np.empty((count, 3), np.float32)
    shares = {method: np.full((count, 3), np.nan, np.float32) for method in METHODS}
    means = np.empty(count, np.uint8)
    mean_image = MeanImage(classes, side)
    logits: dict[str, list[Floats]] = {}
    masked_logits: dict[str, list[Floats]] = {}
    with progress(EXPLAINING, count, "image") as bar:
        for place, grey in selection.batches(side):
            here, of_batch = lungs.masks(ids[place], side)
            whole, cam = attribution.grad_cam(grey)
            predicted = whole.argmax(axis=1)
            logits.setdefault("whole", []).append(whole)
            parts = {"only_border": black_out_inside(grey, border)}
            means[place] = mean_greys(grey)
            if lungs.region is not None:
                # Every image its own mask, or every image the same region: else the mask shows the class.
                parts |= black_out_lungs(grey, _require(here) if own.all() else lungs.region.mask)
            for test, images in parts.items():
                logits.setdefault(test, []).append(attribution.predict(images))
            if not own.all() and of_batch.any():
                masked = black_out_lungs(grey[of_batch], _require(here)[of_batch])
                for test, images in masked.items():
                    masked_logits.setdefault(test, []).append(attribution.predict(images))
            areas[place] = share_out(np.ones(grey.shape, np.float32), here, border)
            maps = {
                "grad_cam": cam,
                "integrated_gradients": attribution.integrated_gradients(grey, predicted),
            }
            if occlude:
                maps["occlusion"] = np.stack(
                    [attribution.occlusion(one, int(of)) for one, of in zip(grey, predicted, strict=True)]
                )
            for method, values in maps.items():
                shares[method][place] = share_out(values, here, border)
            mean_image.add(grey, selection.labels[place])
            bar.update(len(grey))
    joined = {test: np.concatenate(batches) for test, batches in logits.items()}
    # Images of one grey are equal: each grey is predicted once.
    values, of_image = np.unique(means, return_inverse=True)
    flat = np.broadcast_to(values[:, np.newaxis, np.newaxis], (len(values), side, side))
    joined["mean_grey"] = attribution.predict(flat.astype(np.uint8))[of_image]
    of_mean = attribution.predict(mean_image.image()[np.newaxis])
    joined["mean_image"] = np.repeat(of_mean, count, axis=0)
    of_masked = {test: np.concatenate(batches) for test, batches in masked_logits.items()}
    if of_masked:
        of_masked = {"whole": joined["whole"][own]} | of_masked
    return Explained(selection, joined, of_masked, own, areas, shares)


def predict_images(
    selection: Selection, attribution: Attribution, classes: int, progress: Progress
) -> Floats:
    """Return the logits of a selection, shape (n, classes)."""
    found = [np.empty((0, classes), np.float32)]
    if not len(selection):
        return found[0]
    with progress(PREDICTING, len(selection), "image") as bar:
        for _, grey in selection.batches(attribution.side):
            found.append(attribution.predict(grey))
            bar.update(len(grey))
    return np.concatenate(found)


def _require(lungs: Any) -> Mask:
    assert lungs is not None
    mask: Mask = lungs
    return mask
