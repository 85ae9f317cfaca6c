"""The report as Markdown: the paper's tables with the published figures next to the measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import (
    BaselineDocument,
    GateResult,
    Interval,
    Spread,
    TrainingData,
)
from cxrbuild.baseline.few_images import describe_few_images
from cxrbuild.baseline.figures import describe_seeds
from cxrbuild.baseline.result import METRICS, format_figure
from cxrbuild.baseline.tables import markdown_table
from cxrbuild.catalog.baseline import Baseline, Published
from cxrbuild.errors import count_of, verb_of
from cxrbuild.records import SPLITS
from cxrbuild.templates import escape_markdown

_TRAIN = """\
The row train has what Keras reports in the last epoch of training: with augmentation and dropout, the loss
weighted by class. """
_METRICS_NOTE = """\
Precision and recall count a class as predicted if its probability is over 0.5, and average all decisions.
scikit-learn computes the same figures from the same predictions."""
_UNPUBLISHED = "The recipe declares no published figures."
_CAVEAT = """\
This does not show that the model recognises a disease: if each class comes from sources of its own, a model
can learn the source instead. High figures show what can be learned from this dataset, not that the model
diagnoses anything. `cxrbuild audit` measures how well the source, size or margin of an
image predict its class; `cxrbuild explain` measures what a model still predicts without the lungs."""
_CAPTIONS = {
    "counts": ("Images of each class and split", "Table 1"),
    "samples": ("Two test images of each class, as the network sees them", "Figures 1 and 2"),
    "network": ("The network", "Figure 3"),
    "accuracy": ("Accuracy by epoch, over the stages of the learning rate", "Figure 5"),
    "loss": ("Loss by epoch", "Figure 6"),
    "reliability": ("How often predictions of a given confidence are right", ""),
    "mistakes": ("The worst mistakes on test: the least probability of the true class first", ""),
}


def write_report(document: BaselineDocument, biases: Sequence[str], hidden: int | None = 0) -> str:
    """Return the report.

    Parameters
    ----------
    document
        The result.
    biases
        The known biases that the recipe declares.
    hidden
        Number of test images that no figure shows, because of a readable name or birth date; ``None`` where
        no review is known.
    """
    published = document.settings.published
    several = len(document.runs) > 1
    saved = document.runs[0].seed is None
    sections = [
        f"# Baseline on {_title(document)}",
        _introduction(document),
        _models(document),
        _gate(document.gate),
        _seeds(document) if several else "",
        "## Loss, accuracy, precision, recall" + (" (Table 3)" if published and published.metrics else ""),
        _metrics(document),
        ("" if saved else _TRAIN) + _METRICS_NOTE,
        _few_images(document),
        "## Probability of the true class" + (" (Table 4)" if published and published.probability else ""),
        _probability(document, published),
        "## Confusion" + (" (Table 5)" if _published_confusion(document, published) else ""),
        _confusion(document, published),
        _most_confused(document, published),
        "![Confusion matrix](figures/confusion.png)",
        "Confusion matrix" + (" (Figure 4)." if _published_confusion(document, published) else "."),
        "## Each class",
        _classes(document),
        f"{'First model on test' if several else 'On test'}, with 95 % intervals from "
        f"{document.settings.resamples:,} bootstrap resamples by patient. "
        "The interval of a precision or recall of 0 or 1 is exact, of as many patients (Clopper and "
        "Pearson). An interval of F1 or AUC without width shows that all resamples are equal, not "
        "that the figure is certain. A class is predicted if its probability is the greatest.",
        "## Figures",
        _hidden(hidden),
        _figures(document),
        "## Caveat",
        "\n".join([_CAVEAT, *([""] if biases else []), *(f"- {escape_markdown(bias)}" for bias in biases)]),
        "## Versions",
        ", ".join(f"{name} {version}" for name, version in document.versions.items())
        + f"; {document.device}. All settings are in `metrics.json`.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def describe_training_data(trained: TrainingData | None) -> str:
    """Return which images a model was trained on, as text, also where they are unknown."""
    if trained is None:
        return (
            f"training images unknown, because there is no {names.TRAINED_ON} next to it: "
            "**they may include images of this test**"
        )
    dataset = trained.dataset
    name = "an unnamed dataset" if dataset.name is None else f"{dataset.name} {dataset.version}"
    counts = ", ".join(f"{escape_markdown(label)} {count:,}" for label, count in trained.counts.items())
    of_patients = f"{count_of(trained.images, 'image')} of {count_of(trained.patients, 'patient')}"
    return f"trained on {of_patients} of {name} ({counts})" + (
        f", manifest of the build `{trained.manifest_sha256}`" if trained.manifest_sha256 else ""
    )


def _title(document: BaselineDocument) -> str:
    """Name the dataset. A dataset without a name has the recipe's."""
    dataset, recipe = document.dataset, document.recipe
    if dataset.name is None:
        return f"images of an unnamed dataset, read with the recipe {recipe.name} {recipe.version}"
    return f"{dataset.name} {dataset.version}"


def _introduction(document: BaselineDocument) -> str:
    seeds = [str(run.seed) for run in document.runs]
    trained = (
        "A saved model, not trained here"
        if document.runs[0].seed is None
        else describe_seeds(seeds, most=len(seeds)).capitalize()
    )
    counts = "; ".join(
        f"{split} " + ", ".join(f"{escape_markdown(name)} {count:,}" for name, count in of_split.items())
        for split, of_split in document.dataset.counts.items()
    )
    published = document.settings.published
    source = f"Published figures: {escape_markdown(published.where)}." if published else _UNPUBLISHED
    several = (
        " Measured figures are means over the seeds, with the standard deviation after ±. Drawings are of "
        f"seed {seeds[0]}, except accuracy and loss by epoch, which show every seed."
        if len(seeds) > 1
        else ""
    )
    network = document.settings.network
    variant = f"variant {escape_markdown(document.settings.variant)}; network {network.name}, "
    variant += f"{network.side} x {network.side} pixels; "
    if network.weights is not None:
        variant += f"weights of {escape_markdown(network.weights)}; "
    return f"{trained}; {variant}{document.parameters:,} parameters; {counts}.\n\n{source}{several}"


def _models(document: BaselineDocument) -> str:
    """List the models, their training images, and the test images that are excluded because of them."""
    lines = [
        f"- `{run.model.file}`, SHA-256 `{run.model.sha256}`, {describe_training_data(run.model.trained_on)}."
        for run in document.runs
    ]
    for split, of_split in document.dataset.excluded_as_seen.items():
        counts = ", ".join(f"{escape_markdown(name)} {count:,}" for name, count in of_split.items() if count)
        if counts:
            lines.append(
                f"- Excluded from {split}, because the model was trained on images of these patients: "
                f"{counts}."
            )
    return "\n".join(lines)


def _gate(gate: GateResult) -> str:
    if not gate.checks:
        return "Gate: the recipe declares none."
    lines = [
        f"- {'passed' if check.passed else '**failed**'}: {escape_markdown(check.figure)} "
        f"{format_figure(check.value)}, at least {format_figure(check.limit)}"
        for check in gate.checks
    ]
    return f"Gate: **{'passed' if gate.passed else 'failed'}**\n\n" + "\n".join(lines)


def _seeds(document: BaselineDocument) -> str:
    recalls = list(document.settings.gate.recall)
    rows = [
        [
            str(run.seed),
            format_figure(run.metrics["test"].accuracy),
            format_figure(run.metrics["test"].loss),
            *(format_figure(run.classes[name].recall.value) for name in recalls),
        ]
        for run in document.runs
    ]
    return markdown_table(
        ["seed", "test accuracy", "test loss", *(f"recall of {name}" for name in recalls)], rows
    )


def _published_metrics(settings: Baseline, row: str) -> Mapping[str, float]:
    """Return the published figures of a row; of a comparison of networks, the network's accuracy alone."""
    published = settings.published
    if published is None:
        return {}
    if row in published.metrics:
        return published.metrics[row].model_dump()
    accuracy = published.accuracy.get(settings.network.name)
    return {"accuracy": accuracy} if row == "test" and accuracy is not None else {}


def _metrics(document: BaselineDocument) -> str:
    rows = []
    for row, spreads in document.summary.metrics.items():
        title = row if row in SPLITS else f"{row} of test"
        reported = _published_metrics(document.settings, row)
        rows += [
            [
                title if name == METRICS[0] else "",
                name,
                *_compare(getattr(spreads, name), reported.get(name)),
            ]
            for name in METRICS
        ]
    return markdown_table(["", "", "published", "here", "difference"], rows)


def _few_images(document: BaselineDocument) -> str:
    right = {
        f"seed {run.seed}" if len(document.runs) > 1 else "": sum(
            run.confusion[name][number] for number, name in enumerate(document.classes)
        )
        for run in document.runs
    }
    return describe_few_images(sum(document.dataset.counts["test"].values()), right)


def _probability(document: BaselineDocument, published: Published | None) -> str:
    first = document.runs[0].probability
    rows = []
    for name, spread in document.summary.probability.items():
        reported = published.probability.get(name) if published else None
        rows.append(
            [
                name,
                *_compare(spread, reported[0] if reported else None),
                f"({format_figure(reported[1])}, {format_figure(reported[2])})" if reported else "",
                _limits(first[name]),
            ]
        )
    of_first = ", first model" if len(document.runs) > 1 else ""
    header = ["", "published", "here", "difference", "published 95 %", f"here 95 %{of_first}"]
    return markdown_table(header, rows)


def _confusion(document: BaselineDocument, published: Published | None) -> str:
    reported = _published_confusion(document, published)
    deviations = document.summary.confusion_sd
    rows = []
    for name, counts in document.summary.confusion.items():
        cells = []
        for column, count in enumerate(counts):
            # A mean over seeds is not always a whole number.
            cell = f"{count:.1f} ± {deviations[name][column]:.1f}" if deviations else f"{count:g}"
            cells.append(cell + (f" ({reported[name][column]})" if name in reported else ""))
        rows.append([name, *cells])
    note = " (published in brackets)" if reported else ""
    return markdown_table([f"actual, predicted as{note}", *document.classes], rows)


def _most_confused(document: BaselineDocument, published: Published | None) -> str:
    """Return a sentence on the two classes of which most images are predicted as the other one."""
    shares = _confused_shares(document.summary.confusion, document.classes)
    if not shares:
        return ""
    reported = _confused_shares(_published_confusion(document, published), document.classes)

    def describe(pair: tuple[str, str]) -> str:
        one, other = map(escape_markdown, pair)
        shown = f" (published: {reported[pair]:.1%})" if reported else ""
        return f"of {one} and {other}, {shares[pair]:.1%} are predicted as the other of the two{shown}."

    most = max(shares, key=lambda pair: shares[pair])
    sentence = "Of the test images " + describe(most)
    sentence += " No two classes are confused more often." * (len(document.classes) > 2)
    most_published = max(reported, key=lambda pair: reported[pair], default=most)
    if most_published != most:
        sentence += " In the published matrix another pair is confused most: " + describe(most_published)
    return sentence


def _published_confusion(document: BaselineDocument, published: Published | None) -> dict[str, list[int]]:
    """Return the published matrix of the trained classes; empty if it was not published for all of them."""
    counts = published.confusion if published else {}
    classes = list(counts)
    if not set(document.classes) <= set(classes):
        return {}
    return {
        name: [counts[name][classes.index(other)] for other in document.classes] for name in document.classes
    }


def _confused_shares(
    confusion: Mapping[str, Sequence[float]], classes: Sequence[str]
) -> dict[tuple[str, str], float]:
    """Return for each two classes the share of their images that is predicted as the other one."""
    shares = {}
    if not confusion:
        return {}
    for (i, one), (j, other) in combinations(enumerate(classes), 2):
        images = sum(confusion[one]) + sum(confusion[other])
        if images:
            shares[one, other] = (confusion[one][j] + confusion[other][i]) / images
    return shares


def _classes(document: BaselineDocument) -> str:
    rows = [
        [
            name,
            *(
                f"{format_figure(figure.value)} {_limits(figure)}"
                for figure in (figures.precision, figures.recall, figures.f1, figures.auc)
            ),
        ]
        for name, figures in document.runs[0].classes.items()
    ]
    return markdown_table(["", "precision", "recall", "F1", "AUC"], rows)


def _hidden(hidden: int | None) -> str:
    if hidden is None:
        return (
            "The dataset has no `manifest.parquet`, so it is not known which images show a readable name or "
            "birth date. **None is hidden**: look at `samples` and `mistakes` before you share them."
        )
    if not hidden:
        return ""
    subject = f"{count_of(hidden, 'test image')} with a readable name or birth date"
    return f"{subject} {verb_of(hidden, 'is')} in no figure."


def _figures(document: BaselineDocument) -> str:
    published = document.settings.published
    seeds = [str(run.seed) for run in document.runs]
    lines = ""
    if len(seeds) > 1:
        lines = f" Strong with dots: seed {seeds[0]}; thin: {describe_seeds(seeds[1:], len(seeds))}."
    figures = []
    for name, (caption, paper) in _CAPTIONS.items():
        if name in document.figures:
            where = f" ({paper})" if paper and published and published.metrics else ""
            more = lines if name in ("accuracy", "loss") else ""
            figures.append(f"![{caption}](figures/{name}.png)\n\n{caption}{where}.{more}")
    return "\n\n".join(figures)


def _compare(here: Spread, published: float | None) -> list[str]:
    """Return the cells published, here and difference."""
    deviation = f" ± {format_figure(here.sd)}" if here.sd is not None else ""
    measured = format_figure(here.mean) + deviation
    if published is None:
        return ["", measured, ""]
    return [format_figure(published), measured, "" if here.mean is None else f"{here.mean - published:+.4f}"]


def _limits(interval: Interval) -> str:
    return f"({format_figure(interval.low)}, {format_figure(interval.high)})"
