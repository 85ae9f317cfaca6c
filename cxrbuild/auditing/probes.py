"""Probes: simple classifiers that try to tell the class from what should not tell it.

A probe that does well proves that a network may do well without looking at the lungs. One that does badly
proves nothing: another classifier might do better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.auditing.check import Finding, Subject
from cxrbuild.auditing.descriptors import FRAME, Film
from cxrbuild.bootstrap import class_figures

_FOLDS, _TREES = 5, 200
# Of a class with fewer patients nothing can be said that another draw would not change.
_LEAST_PATIENTS = 20
_SUREST = 4
_RESAMPLES = 500

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Probe:
    """What a probe sees of a film, in words and in numbers."""

    words: str
    see: Callable[[Film], Numbers]


def _border(film: Film) -> Numbers:
    outside = np.ones(film.frame.shape, bool)
    eighth = FRAME // 8
    outside[eighth:-eighth, eighth:-eighth] = False
    return film.frame[outside].astype(np.float32)


def _thumbnail(film: Film) -> Numbers:
    half = FRAME // 2
    small: Numbers = film.frame.reshape(half, 2, half, 2).mean((1, 3), dtype=np.float32).ravel()
    return small


PROBES = {
    "probe_border": Probe("the border alone, an eighth of each side, the middle blacked out", _border),
    "probe_encoder": Probe("size, aspect and the encoder's traces alone", lambda film: film.encoder),
    "probe_histogram": Probe("the histogram alone", lambda film: film.histogram),
    "probe_thumbnail": Probe("a thumbnail of 16 x 16 pixels", _thumbnail),
}


def check_probe(name: str) -> Callable[[Subject], Finding]:
    """Return the check that trains a probe and says how well it tells the class.

    The value is the area under the ROC curve, one class against the rest, mean of the classes: 0.5 is
    guessing. Each film is judged by trees that saw no film of its patient (five folds). Each class' own area
    has a 95 % interval, patients drawn anew; the trees are not trained anew, so that it is a little narrow.
    """

    def check(subject: Subject) -> Finding:
        return _run(PROBES[name], subject)

    return check


def _run(probe: Probe, subject: Subject) -> Finding:
    rows = subject.rows
    patients = rows.groupby("label")["group"].nunique()
    classes = [word for word in subject.recipe.classes if word in patients.index]
    if len(classes) < 2:
        return Finding(None, "there is one class alone")
    few = [word for word in classes if patients[word] < _LEAST_PATIENTS]
    if few:
        return Finding(None, f"fewer than {_LEAST_PATIENTS} patients of {', '.join(few)}")
    truth = rows["label"].map(classes.index).to_numpy(np.int64)
    seen = np.stack([probe.see(film) for film in subject.films])
    sure = cross_validated(seen, truth, rows["group"].tolist(), subject.workers)
    figures = class_figures(truth, sure, rows["group"].tolist(), resamples=_RESAMPLES)
    names = rows["image_id"].to_numpy()
    named: list[dict[str, Any]] = [
        {
            "class": word,
            "auc": round(figures[n]["auc"]["value"], 4),
            "auc_low": round(figures[n]["auc"]["low"], 4),
            "auc_high": round(figures[n]["auc"]["high"], 4),
            "recall": round(figures[n]["recall"]["value"], 4),
            "surest": _surest(names[truth == n], sure[truth == n, n]),
        }
        for n, word in enumerate(classes)
    ]
    value, recall = (
        sum(figure[name]["value"] for figure in figures) / len(classes) for name in ("auc", "recall")
    )
    words = f"AUC {value:.3f}; mean recall {recall:.0%}, by guessing {1 / len(classes):.0%}"
    return Finding(round(value, 4), words, named)


def cross_validated(
    seen: Numbers, truth: NDArray[np.int64], groups: Sequence[str], workers: int
) -> NDArray[np.float64]:
    """Return for each film how sure trees are of each class that saw no film of its group.

    Parameters
    ----------
    seen
        What they may see, ``(films, numbers)``.
    truth
        The classes' numbers.
    groups
        The group of each film, which no fold tears.
    workers
        Threads to train with; they change nothing in the outcome.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    sure = np.zeros((len(truth), int(truth.max()) + 1))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    for learn, judge in folds.split(seen, truth, groups):
        trees = ExtraTreesClassifier(
            _TREES, min_samples_leaf=2, class_weight="balanced", random_state=0, n_jobs=workers
        )
        trees.fit(seen[learn], truth[learn])
        # Threads would add up the trees' votes in an order of their own.
        trees.set_params(n_jobs=1)
        sure[np.ix_(judge, trees.classes_)] = trees.predict_proba(seen[judge])
    return sure


def _surest(names: NDArray[Any], sure: NDArray[np.float64]) -> list[str]:
    order = np.lexsort((names, -sure))
    return [str(name) for name in names[order[:_SUREST]]]
