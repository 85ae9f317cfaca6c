"""The report: the paper's tables beside what was measured, in words a reader can check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_METRICS = ("loss", "accuracy", "precision", "recall")
_CAVEAT = """\
What this does not show: where each class comes from sources of its own, a model can learn the source in place
of the disease. In the paper's dataset every Normal and every Pneumonia is a child of one hospital, and every
COVID-19 film comes from elsewhere (DeGrave et al. 2021; Maguolo and Nanni 2020; Roberts et al. 2021; Garcia
Santa Cruz et al. 2021). High figures say that a rebuilt dataset behaves like the published one, not that the
model diagnoses anything."""


def write_report(document: dict[str, Any]) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    document
        What ``metrics.json`` holds.
    """
    dataset, settings = document["dataset"], document["settings"]
    published = settings["published"] or {}
    seeds = [run["seed"] for run in document["runs"]]
    told = "no training" if seeds == [None] else f"seed {', '.join(map(str, seeds))}"
    counts = "; ".join(
        f"{part} " + ", ".join(f"{name} {count:,}" for name, count in classes.items())
        for part, classes in dataset["counts"].items()
    )
    sections = [
        f"# Baseline on {document['recipe']['name']} {document['recipe']['version']}",
        f"{told}; {document['parameters']:,} parameters; {counts}.\n\n"
        f"Published figures: {published.get('where', 'none')}. Where several seeds were trained, a figure is "
        "their mean, with the standard deviation after ±; pictures are of the first.",
        _gate(document["gate"]),
        _seeds(document) if len(seeds) > 1 else "",
        "## Loss, accuracy, precision, recall (Table 3)",
        _table3(document, published.get("metrics", {})),
        "Train is what Keras prints in the last epoch of training: with augmentation and dropout, the loss "
        "weighted by class. Precision and recall count a class as predicted over 0.5, averaged over all "
        "decisions. scikit-learn came to the same figures on the same predictions.",
        "## Probability of the true class (Table 4)",
        _table4(document, published.get("probability", {})),
        "## Confusion (Table 5)",
        _table5(document, published.get("confusion", {})),
        "![Confusion matrix](figures/confusion.png)",
        "## Each class",
        _classes(document),
        "Of the first model on test, with 95 % intervals from "
        f"{settings['resamples']:,} bootstrap resamples by patient. "
        "A class is predicted where its probability is the greatest.",
        "## Pictures",
        _pictures(document),
        "## Caveat",
        _CAVEAT,
        "## Made with",
        _versions(document),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _gate(gate: dict[str, Any]) -> str:
    if not gate["checks"]:
        return "Gate: the recipe declares none."
    lines = [
        f"- {'reached' if check['passed'] else '**short**'}: {check['what']} {_number(check['found'])}, "
        f"least {_number(check['least'])}"
        for check in gate["checks"]
    ]
    return f"Gate: **{'passed' if gate['passed'] else 'fell short'}**\n\n" + "\n".join(lines)


def _seeds(document: dict[str, Any]) -> str:
    recalls = list(document["settings"]["gate"]["recall"])
    rows = [
        [
            str(run["seed"]),
            _number(run["metrics"]["test"]["accuracy"]),
            _number(run["metrics"]["test"]["loss"]),
        ]
        + [_number(run["classes"][name]["recall"]["value"]) for name in recalls]
        for run in document["runs"]
    ]
    return _table(["seed", "test accuracy", "test loss", *(f"recall of {name}" for name in recalls)], rows)


def _table3(document: dict[str, Any], published: dict[str, Any]) -> str:
    rows = []
    for row, figures in document["summary"]["metrics"].items():
        title = row if row in ("train", "validation", "test") else f"{row} of test"
        there = published.get(row, {})
        rows += [
            [title if name == "loss" else "", name, *_beside(figures[name], there.get(name))]
            for name in _METRICS
        ]
    return _table(["", "", "published", "here", "difference"], rows)


def _table4(document: dict[str, Any], published: dict[str, Any]) -> str:
    first = document["runs"][0]["probability"]
    rows = []
    for name, summary in document["summary"]["probability"].items():
        there = published.get(name)
        interval = f"({_number(first[name]['low'])}, {_number(first[name]['high'])})"
        rows.append(
            [
                name,
                *_beside(summary, there[0] if there else None),
                f"({_number(there[1])}, {_number(there[2])})" if there else "",
                interval,
            ]
        )
    header = ["", "published", "here", "difference", "published 95 %", "here 95 %, first model"]
    return _table(header, rows)


def _table5(document: dict[str, Any], published: dict[str, Any]) -> str:
    classes = document["classes"]
    rows = []
    for name, counts in document["summary"]["confusion"].items():
        cells = []
        for column, count in enumerate(counts):
            # A mean over seeds need not be whole.
            words = f"{count:g}" if len(document["runs"]) == 1 else f"{count:.1f}"
            cells.append(words + (f" ({published[name][column]})" if name in published else ""))
        rows.append([name, *cells])
    where = " (in brackets: published)" if published else ""
    return _table([f"actual, predicted as{where}", *classes], rows)


def _classes(document: dict[str, Any]) -> str:
    rows = []
    for name, figures in document["runs"][0]["classes"].items():
        cells = [
            f"{_number(figure['value'])} ({_number(figure['low'])}, {_number(figure['high'])})"
            for figure in figures.values()
        ]
        rows.append([name, *cells])
    return _table(["", "precision", "recall", "F1", "AUC"], rows)


def _pictures(document: dict[str, Any]) -> str:
    captions = {
        "samples": "Two test images of each class, as the network sees them (Figures 1 and 2).",
        "network": "The network (Figure 3).",
        "accuracy": "Accuracy by epoch, over the stages of the learning rate (Figure 4).",
        "loss": "Loss by epoch (Figure 5).",
        "reliability": "How often predictions of a given confidence are right.",
        "mistakes": "The worst mistakes on test: least probability of the truth first.",
    }
    return "\n\n".join(
        f"![{caption}](figures/{name}.png)\n\n{caption}"
        for name, caption in captions.items()
        if name in document["figures"]
    )


def _versions(document: dict[str, Any]) -> str:
    parts = [f"{name} {version}" for name, version in document["versions"].items()]
    seconds = document["timing"]["seconds_per_epoch"]
    epochs = f"; {seconds:.1f} s an epoch" if seconds is not None else ""
    return ", ".join(parts) + f"; {document['device']}{epochs}. Settings: `metrics.json`."


def _beside(here: dict[str, Any], there: float | None) -> list[str]:
    value, spread = here["mean"], here["sd"]
    words = _number(value) + (f" ± {_number(spread)}" if spread is not None else "")
    if there is None:
        return ["", words, ""]
    return [_number(there), words, "" if value is None else f"{value - there:+.4f}"]


def _number(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.4f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
