"""The report: the paper's tables beside what was measured, in words a reader can check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cxrbuild.baseline.figures import describe_seeds
from cxrbuild.baseline.trained_on import TRAINED_ON

_METRICS = ("loss", "accuracy", "precision", "recall")
_TRAIN = """\
Train is what Keras prints in the last epoch of training: with augmentation and dropout, the loss weighted by
class. """
_UNPUBLISHED = "The recipe declares no published figures."
_CAVEAT = """\
What this does not show: where each class comes from sources of its own, a model can learn the source in place
of the disease. High figures say what can be learned from this dataset, not that the model diagnoses anything.
`cxrbuild audit` measures how far the source, the size or the margin of a film tell its class."""


def write_report(document: dict[str, Any], biases: Sequence[str]) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    document
        What ``metrics.json`` holds.
    biases
        The known biases that the recipe declares.
    """
    dataset, settings = document["dataset"], document["settings"]
    published = settings["published"] or {}
    seeds = [run["seed"] for run in document["runs"]]
    told = (
        "a saved model, not trained here"
        if seeds == [None]
        else describe_seeds([str(seed) for seed in seeds], most=len(seeds))
    )
    counts = "; ".join(
        f"{part} " + ", ".join(f"{name} {count:,}" for name, count in classes.items())
        for part, classes in dataset["counts"].items()
    )
    sections = [
        f"# Baseline on {_title(document)}",
        f"{told}; {document['parameters']:,} parameters; {counts}.\n\n"
        + (f"Published figures: {published['where']}." if published else _UNPUBLISHED)
        + _of_several(seeds),
        _model(document),
        _gate(document["gate"]),
        _seeds(document) if len(seeds) > 1 else "",
        "## Loss, accuracy, precision, recall" + (" (Table 3)" if published else ""),
        _table3(document, published.get("metrics", {})),
        ("" if seeds == [None] else _TRAIN)
        + "Precision and recall count a class as predicted over 0.5, averaged over all "
        "decisions. scikit-learn came to the same figures on the same predictions.",
        "## Probability of the true class" + (" (Table 4)" if published else ""),
        _table4(document, published.get("probability", {})),
        "## Confusion" + (" (Table 5)" if published else ""),
        _table5(document, published.get("confusion", {})),
        "![Confusion matrix](figures/confusion.png)",
        "## Each class",
        _classes(document),
        ("Of the first model on test, with" if len(seeds) > 1 else "On test, with") + " 95 % intervals from "
        f"{settings['resamples']:,} bootstrap resamples by patient. "
        "A class is predicted where its probability is the greatest.",
        "## Pictures",
        _pictures(document),
        "## Caveat",
        "\n".join([_CAVEAT, *([""] if biases else []), *(f"- {words}" for words in biases)]),
        "## Made with",
        _versions(document),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _title(document: dict[str, Any]) -> str:
    """Name the dataset; one that does not say what it is has the recipe's name alone."""
    dataset, recipe = document["dataset"], document["recipe"]
    if dataset["name"] is None:
        return f"images of an unnamed dataset, as the recipe {recipe['name']} {recipe['version']} has it"
    return f"{dataset['name']} {dataset['version']}"


def _of_several(seeds: Sequence[Any]) -> str:
    if len(seeds) == 1:
        return ""
    return (
        " Figures are means over the seeds, with the standard deviation after ±. Pictures are of seed "
        f"{seeds[0]}, but for accuracy and loss by epoch, which show every seed."
    )


def _model(document: dict[str, Any]) -> str:
    """Say which models these are, what they were trained on, and what was left out of the test for it."""
    lines = []
    for run in document["runs"]:
        model, trained = run["model"], run["model"]["trained_on"]
        lines.append(f"- `{model['file']}`, SHA-256 `{model['sha256']}`, {describe_trained_on(trained)}.")
    for part, classes in document["dataset"]["left_out"].items():
        if any(classes.values()):
            words = ", ".join(f"{name} {count:,}" for name, count in classes.items() if count)
            lines.append(
                f"- Left out of {part}, because the model was trained on films of these patients: {words}."
            )
    return "\n".join(lines)


def describe_trained_on(trained: dict[str, Any] | None) -> str:
    """Return in words what a model was trained on, and plainly where that is not known."""
    if trained is None:
        return (
            f"trained on images that are not known, for no {TRAINED_ON} stands beside it: **it may have been "
            "trained on images of this test**"
        )
    dataset = trained["dataset"]
    name = "an unnamed dataset" if dataset["name"] is None else f"{dataset['name']} {dataset['version']}"
    counts = ", ".join(f"{label} {count:,}" for label, count in trained["counts"].items())
    manifest = trained["manifest_sha256"]
    return (
        f"trained on {trained['images']:,} images of {trained['patients']:,} patients of {name} ({counts})"
        + (f", manifest `{manifest}`" if manifest else "")
    )


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
    of = ", first model" if len(document["runs"]) > 1 else ""
    header = ["", "published", "here", "difference", "published 95 %", f"here 95 %{of}"]
    return _table(header, rows)


def _table5(document: dict[str, Any], published: dict[str, Any]) -> str:
    classes, spread = document["classes"], document["summary"]["confusion_sd"]
    rows = []
    for name, counts in document["summary"]["confusion"].items():
        cells = []
        for column, count in enumerate(counts):
            # A mean over seeds need not be whole.
            words = f"{count:.1f} ± {spread[name][column]:.1f}" if spread else f"{count:g}"
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
    seeds = [str(run["seed"]) for run in document["runs"]]
    lines = ""
    if len(seeds) > 1:
        lines = f" Strong with dots: seed {seeds[0]}; thin: {describe_seeds(seeds[1:], len(seeds))}."
    captions = {
        "samples": ("Two test images of each class, as the network sees them", "Figures 1 and 2", ""),
        "network": ("The network", "Figure 3", ""),
        "accuracy": ("Accuracy by epoch, over the stages of the learning rate", "Figure 4", lines),
        "loss": ("Loss by epoch", "Figure 5", lines),
        "reliability": ("How often predictions of a given confidence are right", "", ""),
        "mistakes": ("The worst mistakes on test: least probability of the truth first", "", ""),
    }
    pictures = []
    for name, (words, paper, more) in captions.items():
        if name in document["figures"]:
            where = f" ({paper})" if paper and document["settings"]["published"] else ""
            pictures.append(f"![{words}](figures/{name}.png)\n\n{words}{where}.{more}")
    return "\n\n".join(pictures)


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
    # Without published figures there is nothing under some of the titles.
    kept = [column for column in range(len(header)) if any(row[column] for row in rows)]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line[column] for column in kept) + " |" for line in lines)
