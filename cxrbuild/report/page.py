"""The report of a release: one HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import CheckResult, Results
from cxrbuild.artifact.explanation import TESTS
from cxrbuild.contents import Contents
from cxrbuild.documents import describe_attribution, list_licenses
from cxrbuild.errors import count_of
from cxrbuild.files import write_bytes
from cxrbuild.policy import WITHHELD
from cxrbuild.report.chart import COLOURS, bars, histogram
from cxrbuild.report.contact_sheet import ThumbnailReader, contact_sheet, read_thumbnail
from cxrbuild.report.flow import flow_chart
from cxrbuild.report.headlines import list_headlines
from cxrbuild.report.next_steps import next_step
from cxrbuild.templates import html_environment

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

_IMAGES = 24
_AGES = tuple(range(0, 105, 5))


def write_report(path: Path, contents: Contents, build: Path, results: Results) -> None:
    """Write ``report.html``: one file that loads nothing from elsewhere.

    It shows only images whose pixels the release includes, and none that shows a name or birth date.

    Parameters
    ----------
    path
        The file.
    contents
        The content of the release.
    build
        The build that has the JPEGs.
    results
        The results of audit, baseline and explanation.

    Raises
    ------
    CheckError
        A JPEG of the build cannot be read.
    """
    page = generate_report(contents, results, lambda path: read_thumbnail(build / path))
    write_bytes(path, page.encode())


def generate_report(contents: Contents, results: Results, read: ThumbnailReader) -> str:
    """Return the text of ``report.html``: see `write_report`.

    Parameters
    ----------
    contents, results
        The content of the release, and its results.
    read
        Returns the thumbnail of an image as a data URL, by its ``jpeg_path``.
    """
    from markupsafe import Markup

    environment = html_environment("cxrbuild.report")
    audit, baseline, explanation = results.audit, results.baseline, results.explanation
    classes, kept = contents.recipe.classes, contents.kept
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(classes)}
    return environment.get_template("report.html.j2").render(
        c=contents,
        colours=colours,
        flow=Markup(flow_chart(contents)),  # noqa: S704  its text is escaped
        all=contents.count(kept),
        embedded=contents.count(contents.embedded),
        by_source=contents.count_by("source", kept),
        by_view=contents.count_by("view_position", kept),
        by_sex=contents.count_by("patient_sex", kept),
        charts=_charts(contents, colours),
        sheets={
            label: contact_sheet(contents.embedded[contents.embedded["label"] == label], read, _IMAGES)
            for label in classes
        },
        reasons=WITHHELD,
        audit=audit,
        statuses=describe_statuses(audit.checks) if audit else [],
        baseline=baseline,
        explanation=explanation,
        tests=TESTS,
        style=Markup((files("cxrbuild.report") / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        headlines=list_headlines(
            kept, classes, audit, release=contents, baseline=baseline, explanation=explanation
        ),
        licenses=list_licenses(kept, contents.embedded),
        attributed=describe_attribution(contents),
        next_steps={check.id: next_step(check) for check in audit.checks} if audit else {},
    )


def describe_statuses(checks: Iterable[CheckResult]) -> list[str]:
    """Return sentences about how many checks of an audit passed, failed, do not apply, or have no limit.

    Parameters
    ----------
    checks
        The results of the checks.
    """
    count = Counter((check.limit is not None, check.status) for check in checks)
    sentences = []
    if limited := sum(number for (has_limit, _), number in count.items() if has_limit):
        result = "all passed"
        if count[True, "passed"] < limited:
            # A check that was not made says nothing: it does not count as passed.
            result = ", ".join(
                f"{count[True, status]} {status}"
                for status in ("passed", "failed", "not applicable")
                if count[True, status]
            )
        sentences.append(f"{count_of(limited, 'check')} with a limit: {result}.")
    if reported := count[False, "reported"]:
        sentences.append(
            f"{count_of(reported, 'check')} without a limit in the recipe: the reader has to judge."
        )
    if unmade := count[False, "not applicable"]:
        sentences.append(f"{count_of(unmade, 'check')} without a limit in the recipe: not applicable.")
    return sentences


@dataclass(frozen=True)
class _Charts:
    """The charts of the report.

    Attributes
    ----------
    sides, ages
        Histograms of the shorter side and of the age, by class.
    mix
        Bars of the classes, by source.
    ages_known
        The number of images whose age is known, by class.
    """

    sides: dict[str, Markup]
    ages: dict[str, Markup]
    mix: dict[str, Markup]
    ages_known: dict[str, int]


def _charts(contents: Contents, colours: Mapping[str, str]) -> _Charts:
    from markupsafe import Markup

    kept = contents.kept
    sides = _edges(kept[["width", "height"]].min(axis=1))
    known = {
        label: int(kept.loc[kept["label"] == label, "patient_age"].notna().sum())
        for label in contents.recipe.classes
    }
    charts = _Charts({}, {}, {}, known)
    for label in contents.recipe.classes:
        rows = kept.loc[kept["label"] == label, ["width", "height", "patient_age"]]
        side = rows[["width", "height"]].min(axis=1)
        charts.sides[label] = Markup(  # noqa: S704  its text is escaped
            histogram(side, sides, colours[label], "px", f"Shorter side of {label} images")
        )
        if rows["patient_age"].notna().any():
            charts.ages[label] = Markup(  # noqa: S704
                histogram(rows["patient_age"], _AGES, colours[label], "years", f"Ages of {label}")
            )
    for source, counts in contents.count_by("source", kept).items():
        charts.mix[source] = Markup(bars(counts, colours, f"Classes of {source}"))  # noqa: S704
    return charts


def _edges(values: pd.Series) -> list[float]:
    """Return about 24 round edges from 0 to the greatest value."""
    import math

    most = float(values.max()) if len(values) else 1.0
    step = 10 ** math.floor(math.log10(max(most / 24, 1)))
    step = next(step * k for k in (1, 2, 5, 10) if step * k * 24 >= most)
    return [step * i for i in range(math.ceil(most / step) + 1)]
