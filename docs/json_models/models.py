"""What the commands of models print: `train-baseline`, `explain`."""

from __future__ import annotations

from json_models.base import Printed


class TrainBaseline(Printed):
    """What `train-baseline` prints: `metrics.json`, and where it is.

    Attributes
    ----------
    out
        The folder of the results.
    seconds_per_epoch
        The median; `null` where nothing was trained.
    """

    out: str
    seconds_per_epoch: float | None


class TrainBaselineComparison(Printed):
    """What `train-baseline` prints of several trainings: `comparison.json`, and where it is.

    Attributes
    ----------
    out
        The folder of the results.
    """

    out: str


class Explain(Printed):
    """What `explain` prints: `explanation.json`, and where it is.

    Attributes
    ----------
    out
        The folder of the results.
    sentence
        What the blackout tests state.
    surviving
        The share of the model's success that survives without the lungs; `null` where it was not measured.
    unusable_masks
        By lung mask, as `SOURCE/PATH`, why it cannot be used.
    """

    out: str
    sentence: str
    surviving: float | None
    unusable_masks: dict[str, str]
