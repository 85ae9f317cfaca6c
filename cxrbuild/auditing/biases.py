"""What an audit says of a dataset's biases, in sentences for the reader of a release."""

from __future__ import annotations

from collections.abc import Sequence

from cxrbuild.auditing.check import Outcome
from cxrbuild.auditing.probes import PROBES

# From here on a reader should be warned: of a fact the share that it tells of the class, of a probe its AUC.
_SHARE, _AUC = 0.1, 0.6


def describe_biases(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what was measured of confounding, in plain words; nothing where nothing was measured.

    Parameters
    ----------
    outcomes
        What came of each check.
    """
    by_name = {outcome.id: outcome for outcome in outcomes}
    return [
        *_facts(by_name.get("confounding")),
        *_probes([by_name[name] for name in PROBES if name in by_name]),
    ]


def _facts(outcome: Outcome | None) -> list[str]:
    if outcome is None or outcome.value is None:
        return []
    told = [
        f"{entry['fact']} {entry['share']:.0%} of {entry['of']}"
        for entry in outcome.named
        if entry["share"] >= _SHARE
    ]
    if not told:
        return ["Measured: no single fact of file or patient tells a tenth of whether a film is of a class."]
    return [
        "Measured: of what there is to know of whether a film is of a class (its entropy), "
        f"these facts tell, each alone: {', '.join(told)}."
    ]


def _probes(outcomes: Sequence[Outcome]) -> list[str]:
    ran = [(PROBES[outcome.id].words, outcome.value) for outcome in outcomes if outcome.value is not None]
    if not ran:
        return []
    figures = "; ".join(f"{words}: {value:.2f}" for words, value in ran)
    measured = f"Area under the ROC curve by patients held out, where 0.5 is guessing: {figures}."
    if max(value for _, value in ran) < _AUC:
        return [
            f"Measured: simple classifiers hardly tell the class from what should not tell it. {measured}"
        ]
    return [
        "Measured: simple classifiers tell the class from what should not tell it. "
        f"{measured} A network that does as well on this dataset need not have looked at a lung."
    ]
