"""Probes: simple classifiers that predict the class from what does not show the lungs.

A probe with a high AUC proves that a network can have one without using the lungs. A probe with a low AUC
proves nothing: another classifier may do better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact.audit import LEAST_PROBED_PATIENTS
from cxrbuild.artifact.audit_finding import ProbeFinding
from cxrbuild.auditing.context import Context, record
from cxrbuild.checks import Measurement, NotApplicable
from cxrbuild.progress import Bar

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from cxrbuild.auditing.store import DescriptorTable

    Features = NDArray[np.float32]

MOST_IMAGES = 50_000
"""The most images that a probe is trained on and classifies."""

_FOLDS, _TREES = 5, 200
_MOST_CONFIDENT = 4
_RESAMPLES = 500


@dataclass(frozen=True)
class Probe:
    """A probe.

    Attributes
    ----------
    sentence
        What holds where its check passes.
    description
        What the probe sees.
    shortcut
        What of it a network can learn instead of the disease.
    features
        Returns its features of images, ``(images, n)``, from their descriptors and rows of the manifest.
    border_only
        Whether it sees the border alone: the page shows its images without their middle.
    """

    sentence: str
    description: str
    shortcut: str
    features: Callable[[DescriptorTable, pd.DataFrame], Features]
    border_only: bool = False

    def check(self, context: Context) -> Measurement:
        """Train the probe, and measure how well it predicts the class.

        The value is the area under the ROC curve, one class against all others, averaged over the classes:
        0.5 is guessing. An image is classified by trees that were trained without its patient (five folds).
        Each class's area has a 95 % interval by patient-level bootstrap. The trees are not trained again for
        it, so that it is a little narrow. Classes of few patients are excluded, with their images.
        """
        import numpy as np

        from cxrbuild.bootstrap import class_figures

        chosen = _draw(context.rows)
        rows = context.rows.iloc[chosen]
        patients = rows.groupby("label")["group"].nunique()
        classes = [label for label in context.recipe.classes if label in patients.index]
        if len(classes) < 2:
            raise NotApplicable("there is only one class")
        small = [label for label in classes if patients[label] < LEAST_PROBED_PATIENTS]
        if len(classes) - len(small) < 2:
            raise NotApplicable(f"fewer than {LEAST_PROBED_PATIENTS} patients of {', '.join(small)}")
        drawn = len(rows)
        chosen = chosen[~rows["label"].isin(small).to_numpy()]
        rows = context.rows.iloc[chosen]
        classes = [label for label in classes if label not in small]
        truth = rows["label"].map(classes.index).to_numpy(np.int64)
        features = self.features(context.descriptors.select(chosen), rows)
        if (features == features[0]).all():
            raise NotApplicable(f"all images have the same {self.description}")
        groups = rows["group"].tolist()
        with context.progress(f"predicting the class from {self.description}", _FOLDS, "fold") as bar:
            probabilities = cross_validate(features, truth, groups, context.workers, bar)
        figures = class_figures(truth, probabilities, groups, resamples=_RESAMPLES)
        image_ids = rows["image_id"].to_numpy()
        findings = [
            _describe(label, figures[n], _most_confident(image_ids[truth == n], probabilities[truth == n, n]))
            for n, label in enumerate(classes)
        ]
        auc, recall = (
            sum(figure[name]["value"] for figure in figures) / len(classes) for name in ("auc", "recall")
        )
        message = f"AUC {auc:.3f}; mean recall {recall:.0%}, by guessing {1 / len(classes):.0%}"
        if small:
            message += f"; without {', '.join(small)}: fewer than {LEAST_PROBED_PATIENTS} patients"
        if drawn < len(context.rows):
            message += f"; {drawn:,} images drawn at random"
        return Measurement(round(auc, 4), message, [record(finding) for finding in findings])


def _draw(rows: pd.DataFrame) -> NDArray[np.intp]:
    """Return the numbers of the images to train on: all, or those with the lowest hashes of their ids."""
    import numpy as np
    import pandas as pd

    if len(rows) <= MOST_IMAGES:
        return np.arange(len(rows))
    hashes = pd.util.hash_pandas_object(rows["image_id"], index=False)
    return np.sort(np.argsort(hashes.to_numpy(), kind="stable")[:MOST_IMAGES])


def _border(images: DescriptorTable, _: pd.DataFrame) -> Features:
    import numpy as np

    from cxrbuild.auditing.descriptors import FRAME_SIDE

    outside = np.ones((FRAME_SIDE, FRAME_SIDE), bool)
    eighth = FRAME_SIDE // 8
    outside[eighth:-eighth, eighth:-eighth] = False
    border: Features = images.read("frame")[:, outside].astype(np.float32)
    return border


def _histogram(images: DescriptorTable, _: pd.DataFrame) -> Features:
    histogram: Features = images.read("histogram")
    return histogram


def _thumbnail(images: DescriptorTable, _: pd.DataFrame) -> Features:
    import numpy as np

    from cxrbuild.auditing.descriptors import FRAME_SIDE

    half = FRAME_SIDE // 2
    frames = images.read("frame")
    small: Features = frames.reshape(len(frames), half, 2, half, 2).mean((2, 4), dtype=np.float32)
    return small.reshape(len(frames), -1)


def _encoder(images: DescriptorTable, rows: pd.DataFrame) -> Features:
    """Return the size of each image, and the format and encoder settings of its upstream file.

    The settings of an encoded JPEG are cxrbuild's, and its bytes per pixel measure the texture of the image:
    they are 0. Only a copied JPEG has those of the upstream file.
    """
    import numpy as np
    import pandas as pd

    from cxrbuild.auditing.descriptors import SIZES

    values = images.read("encoder").copy()
    values[rows["conversion"].eq("encoded").fillna(value=False).to_numpy(bool), SIZES:] = 0
    # Format, bits per sample and colour.
    parts = rows["source_format"].str.split(n=2, expand=True).fillna("unknown")
    formats = pd.get_dummies(parts, dtype=np.float32).to_numpy()
    features: Features = np.hstack([values, formats])
    return features


PROBES = {
    "probe_border": Probe(
        "The border, with the middle blacked out, does not predict the class (AUC).",
        "the border, an eighth of each side",
        "the border: padding, collimation, letters at the edge",
        _border,
        border_only=True,
    ),
    "probe_encoder": Probe(
        "Size, format and encoder settings of the upstream file do not predict the class (AUC).",
        "size, aspect ratio, file format and encoder settings",
        "size, aspect ratio, format and encoder settings of the upstream files",
        _encoder,
    ),
    "probe_histogram": Probe(
        "The histogram does not predict the class (AUC).",
        "the histogram",
        "brightness and contrast",
        _histogram,
    ),
    "probe_thumbnail": Probe(
        "A thumbnail of 16 x 16 pixels does not predict the class (AUC).",
        "a thumbnail of 16 x 16 pixels",
        "16 x 16 pixels: exposure, position, cropping",
        _thumbnail,
    ),
}


def _describe(label: str, figures: dict[str, dict[str, float]], most_confident: list[str]) -> ProbeFinding:
    auc, low, high = (round(figures["auc"][name], 4) for name in ("value", "low", "high"))
    recall = round(figures["recall"]["value"], 4)
    return ProbeFinding(
        message=f"{label}: AUC {auc:.3f} ({low:.2f} to {high:.2f}), recall {recall:.0%}",
        label=label, auc=auc, auc_low=low, auc_high=high, recall=recall, most_confident=most_confident,
    )  # fmt: skip


def cross_validate(
    features: Features, truth: NDArray[np.int64], groups: Sequence[str], workers: int, bar: Bar
) -> NDArray[np.float64]:
    """Return the probabilities of the classes, by trees that were trained without the image's group.

    Parameters
    ----------
    features
        The features, ``(images, n)``.
    truth
        The numbers of the classes.
    groups
        The group of each image. All images of a group are in one fold.
    workers
        Threads to train with; the result does not depend on them.
    bar
        Shows how many folds are done.

    Returns
    -------
    numpy.ndarray
        ``(images, classes)``.
    """
    import numpy as np
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    probabilities = np.zeros((len(truth), int(truth.max()) + 1))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(features, truth, groups):
        trees = ExtraTreesClassifier(
            _TREES, min_samples_leaf=2, class_weight="balanced", random_state=0, n_jobs=workers
        )
        trees.fit(features[train], truth[train])
        # Threads would add up the trees' votes in a random order.
        trees.set_params(n_jobs=1)
        probabilities[np.ix_(test, trees.classes_)] = trees.predict_proba(features[test])
        bar.update()
    return probabilities


def _most_confident(image_ids: NDArray[Any], probabilities: NDArray[np.float64]) -> list[str]:
    import numpy as np

    order = np.lexsort((image_ids, -probabilities))
    return [str(image_id) for image_id in image_ids[order[:_MOST_CONFIDENT]]]
