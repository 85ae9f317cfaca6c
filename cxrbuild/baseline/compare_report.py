"""The report of a comparison as Markdown."""

from __future__ import annotations

from cxrbuild.artifact.comparison import ComparisonDocument, Evaluation
from cxrbuild.baseline.compare_result import format_interval
from cxrbuild.baseline.few_images import describe_few_images
from cxrbuild.baseline.tables import markdown_table
from cxrbuild.bootstrap import LEAST_PATIENTS
from cxrbuild.templates import escape_markdown

_PROTOCOLS = {
    "split": """\
Each combination is trained on the training split and evaluated on the test split. **The test split chooses
nothing here**, and must not: the best of several combinations by these figures looks better than it is.
Compare by `--folds` to choose one.""",
    "folds": """\
Each combination is trained on all folds but one and evaluated on that one, for each fold. So every image
outside the test split is evaluated once, by a model that was trained on no image of its group of patients.
The test split has no part in it: a combination that is chosen by these figures can still be tested on it.""",
    "sources": """\
Each combination is trained without one source and evaluated on this source alone, so it cannot gain from
recognising a source that it was trained on.""",
}


def report_comparison(document: ComparisonDocument) -> str:
    """Return the report.

    Parameters
    ----------
    document
        The comparison.
    """
    dataset, recipe = document.dataset, document.recipe
    name = recipe.name if dataset.name is None else dataset.name
    version = recipe.version if dataset.version is None else dataset.version
    seeds = ", ".join(str(seed) for seed in document.seeds)
    several = len(document.seeds) > 1
    sections = [
        f"# Comparison on {name} {version}",
        _PROTOCOLS[document.protocol],
        f"Seeds: {seeds}. Variant of the recipe: {escape_markdown(document.settings.variant)}. Epochs: "
        f"{document.settings.epochs}. Combinations are in the order of the command; differences are from the "
        f"first, {document.combinations[0].name}.",
        "## Combinations",
        _combinations(document),
    ]
    for evaluation in document.evaluations:
        sections += _evaluation(document, evaluation)
    sections += [
        "## Figure",
        "![Accuracy and its difference from the first combination](figures/comparison.png)",
        f"Dots are figures, lines 95 % intervals of {document.settings.resamples:,} bootstrap resamples by "
        f"patient{' and seed' if several else ''}. Each resample draws the same patients"
        f"{' and the same seeds' if several else ''} for every combination, so differences are paired. An "
        "interval of a difference that does not contain 0 distinguishes two combinations on these patients. "
        f"A difference of fewer than {LEAST_PATIENTS} patients has no interval, and distinguishes nothing. "
        "The interval of a figure of 0 or 1 is exact, of as many patients (Clopper and Pearson). Any other "
        "interval without width shows that all resamples are equal, as where each class is either all right "
        "or all wrong, not that the figure is certain. An interval is not adjusted for the number of "
        "combinations. "
        + (
            "It contains what another seed changes as far as these seeds show it: of few seeds, too little."
            if several
            else "It does not contain what another seed changes, because there is one seed."
        ),
        "## Runs",
        "\n".join(
            f"- `{run.folder}`: trained on {sum(run.train.values()):,} images, evaluated on "
            f"{sum(run.test.values()):,}; model SHA-256 `{run.model_sha256}`"
            for run in document.runs
        ),
        "## Versions",
        ", ".join(f"{name} {version}" for name, version in document.versions.items())
        + f"; {document.device}. All settings are in `comparison.json`, all predictions in "
        "`comparison.parquet`.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _combinations(document: ComparisonDocument) -> str:
    return markdown_table(
        ["combination", "network", "side", "optimizer", "parameters", "starts from"],
        [
            [
                one.name,
                one.network,
                str(one.side),
                one.optimizer,
                f"{one.parameters:,}",
                one.weights or "random weights",
            ]
            for one in document.combinations
        ],
    )


def _evaluation(document: ComparisonDocument, evaluation: Evaluation) -> list[str]:
    images = sum(evaluation.counts.values())
    titles = {
        "split": "Test split",
        "folds": "Folds",
        "sources": f"Source {escape_markdown(evaluation.name)}, withheld from training",
    }
    counts = ", ".join(
        f"{escape_markdown(label)} {count:,}" for label, count in evaluation.counts.items() if count
    )
    published = document.settings.published.accuracy if document.settings.published else {}
    classes = [label for label, count in evaluation.counts.items() if count]
    networks = {one.name: one.network for one in document.combinations}
    figures = [
        [
            name,
            f"{published[networks[name]]:.3f}" if networks[name] in published else "",
            format_interval(of.accuracy),
            format_interval(of.balanced_accuracy),
            *(format_interval(of.recall[label]) for label in classes),
        ]
        for name, of in evaluation.figures.items()
    ]
    differences = [
        [
            name,
            format_interval(of.accuracy, signed=True),
            format_interval(of.balanced_accuracy, signed=True),
            *(format_interval(of.recall[label], signed=True) for label in classes),
        ]
        for name, of in evaluation.differences.items()
    ]
    recalls = [f"recall of {label}" for label in classes]
    header = ["", "published accuracy", "accuracy", "balanced accuracy", *recalls]
    several = len(document.seeds) > 1
    right = {
        f"{name}, seed {seed}" if several else name: hits
        for name, of_seeds in evaluation.right.items()
        for seed, hits in zip(document.seeds, of_seeds, strict=True)
    }
    return [
        f"## {titles[document.protocol]}",
        f"{images:,} images of {evaluation.patients:,} groups of patients ({counts}).",
        markdown_table(header, figures),
        "Differences:" if differences else "",
        markdown_table(["", "accuracy", "balanced accuracy", *recalls], differences) if differences else "",
        describe_few_images(images, right),
    ]
