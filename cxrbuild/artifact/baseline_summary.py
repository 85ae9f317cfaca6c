"""What follows from the runs of a baseline: the figures over all runs, and whether they pass the gate."""

from __future__ import annotations

from collections.abc import Sequence

from cxrbuild.artifact.baseline import GateCheck, GateResult, MetricSpreads, Run, Spread, Summary
from cxrbuild.catalog.baseline import Gate


def summarize(runs: Sequence[Run], classes: list[str]) -> Summary:
    """Return the figures over all runs, as mean and standard deviation."""
    import numpy as np

    confusion = {name: np.array([run.confusion[name] for run in runs]) for name in classes}
    several = len(runs) > 1
    return Summary(
        metrics={
            row: MetricSpreads(
                **{
                    name: _spread([getattr(run.metrics[row], name) for run in runs])
                    for name in MetricSpreads.model_fields
                }
            )
            for row in runs[0].metrics
        },
        probability={name: _spread([run.probability[name].value for run in runs]) for name in classes},
        confusion={name: counts.mean(axis=0).tolist() for name, counts in confusion.items()},
        confusion_sd={name: counts.std(axis=0, ddof=1).tolist() for name, counts in confusion.items()}
        if several
        else None,
    )


def mean_recall(runs: Sequence[Run], classes: list[str]) -> dict[str, float | None]:
    """Return the mean recall of each class over all runs, by the greatest probability."""
    return {name: _spread([run.classes[name].recall.value for run in runs]).mean for name in classes}


def check_gate(gate: Gate, accuracy: float | None, recall: dict[str, float | None]) -> GateResult:
    """Compare the figures with the gate's limits.

    Parameters
    ----------
    gate
        The limits.
    accuracy
        On the test split; the mean over the runs.
    recall
        Of each class, a class being predicted where its probability is the greatest. ``None`` is undefined
        and never passes.
    """
    limits = []
    if gate.accuracy is not None:
        limits.append(("test accuracy", round(gate.accuracy - gate.tolerance, 10), accuracy))
    limits += [(f"recall of {name}", least, recall[name]) for name, least in gate.recall.items()]
    checks = [
        GateCheck(figure=figure, limit=limit, value=value, passed=value is not None and value >= limit)
        for figure, limit, value in limits
    ]
    return GateResult(passed=all(check.passed for check in checks), checks=checks)


def _spread(values: Sequence[float | None]) -> Spread:
    import numpy as np

    defined = [value for value in values if value is not None]
    if len(defined) < len(values):
        return Spread(mean=None, sd=None)
    return Spread(
        mean=float(np.mean(defined)), sd=float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    )
