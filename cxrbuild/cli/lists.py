"""What `audit --list` does and reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, printable, verb_of
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    from cxrbuild.lists import ListAuditResult
    from cxrbuild.lists.audit import ListCheckResult
    from cxrbuild.lists.class_words import ClassWord
    from cxrbuild.lists.context import ListFinding
    from cxrbuild.lists.summary import DatasetSummary

# The findings of a check that are listed, and the rows of a finding.
_FINDINGS, _ROWS = 20, 5


def audit_given_lists(
    output: Output,
    lists: Sequence[str],
    dataset: Path | str | None,
    columns: str | None,
    recipe: str,
    data: Path,
    out: Path | None,
    *,
    pixels: bool,
    workers: int | None,
    executor: str,
) -> None:
    """Audit the lists that `--list` names, against sources in the data folder if there are any, or a dataset.

    Raises
    ------
    CheckError
        A check found something; the table is written.
    CxrbuildError
        The table cannot be written to `out`.
    """
    from cxrbuild.api import audit_lists
    from cxrbuild.lists import require_clean

    result = audit_lists(
        lists,
        data if data.is_dir() else None,
        recipe,
        dataset=dataset,
        columns=_parse_columns(columns),
        pixels=pixels,
        workers=workers,
        executor=executor,
        out=out,
        progress=output.progress,
    )
    known = any(found is not None for _, found in result.sources.values())
    _report(output, result)
    if result.dataset is not None:
        _report_dataset(output, result.dataset)
    elif not known:
        output.show(f"No sources in {data}, so the lists are not compared. `--data` names their folder.")
    if out is not None:
        output.show(f"\nA row for each listed file, with its patient and what is wrong: {printable(out)}")
    output.result("audit-list-1", result.to_dict())
    require_clean(result)


def _parse_columns(text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in (text or "").split(",") if part]
    if any(not name or not value for name, _, value in pairs):
        raise click.BadParameter("expected NAME=COLUMN,... such as file=2,label=3", param_hint="--columns")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _report(output: Output, result: ListAuditResult) -> None:
    """Report the counts, and what each check found."""
    classes = sorted({label for counts in result.rows.values() for label in counts})
    output.table(
        ["split", *(label or "no class" for label in classes)],
        [[split, *(counts.get(label, 0) for label in classes)] for split, counts in result.rows.items()],
    )
    output.show("")
    found_in = "these in the dataset" if result.dataset is not None else "these in metadata here"
    output.table(
        ["source", "rows", f"of {found_in}"],
        [
            [name or "not named", rows, "-" if found is None else found]
            for name, (rows, found) in result.sources.items()
        ],
    )
    for check in result.checks:
        output.show(f"\n{check.id}: {_describe_result(check)}")
        for line in _describe_findings(check.findings or []):
            output.bullet(line)
    output.show("")
    if result.compared is not None:
        output.show(
            f"{count_of(result.compared, 'image')} of the lists {verb_of(result.compared, 'is')} in --data; "
            "these were compared with each other."
        )


def _describe_findings(findings: Sequence[ListFinding]) -> Iterator[str]:
    """Yield the findings by kind, the most frequent first; of many, some of each kind."""
    by_kind: dict[str, list[ListFinding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    # The first of each kind, then the second of each, until there are enough.
    places = sorted((place, kind) for kind, found in by_kind.items() for place in range(len(found)))
    shown = [kind for _, kind in places[:_FINDINGS]]
    for kind, found in sorted(by_kind.items(), key=lambda kind: -len(kind[1])):
        if len(by_kind) > 1:
            yield f"{len(found):,} {kind}:"
        for finding in found[: shown.count(kind)]:
            more = f" and {len(finding.rows) - _ROWS:,} more" if len(finding.rows) > _ROWS else ""
            indent = "  " * (len(by_kind) > 1)
            yield f"{indent}{finding.message}: {', '.join(finding.rows[:_ROWS])}{more}"
    if len(findings) > _FINDINGS:
        yield f"... and {len(findings) - _FINDINGS:,} more; --out FILE.csv and --json list all"


def _report_dataset(output: Output, found: DatasetSummary) -> None:
    """Report how lists and a dataset compare: classes, images that are not listed, and a summary."""
    for word in found.classes:
        output.show(_describe_class(word))
    splits = [split for split in SPLITS if any(split in counts for counts in found.not_listed.values())]
    if splits:
        output.show("")
        output.table(
            ["images not found in the list", *splits],
            [[one, *(counts.get(split, 0) for split in splits)] for one, counts in found.not_listed.items()],
        )
    columns = [split for split in SPLITS if any(split in counts for counts in found.splits.values())]
    if columns:
        output.show("\nImages in both, by split in the list and split in the dataset:")
        output.table(
            ["list", *columns],
            [[split, *(counts.get(one, 0) for one in columns)] for split, counts in found.splits.items()],
        )
    output.show(f"\nThe list and {found.name}:")
    excluded = [] if found.excluded is None else [("  excluded from the dataset", found.excluded)]
    counts: list[tuple[str, int | None]] = [
        ("rows in the list", found.rows),
        ("rows found in the dataset", found.found),
        *excluded,
        *([("rows with an ambiguous name", found.ambiguous)] if found.ambiguous else []),
        *([("rows that may name hidden files", found.unknown)] if found.unknown else []),
        ("images in both", found.shared),
        ("  in another split", found.other_split),
        ("  of another class", found.other_class),
        ("patients with leakage", found.leakage),
        ("images of the dataset not found in the list", found.images - found.shared),
    ]
    numbers = [(name, "not checked" if n is None else f"{n:,}") for name, n in counts]
    output.table(numbers[0], numbers[1:], right=1)
    if not found.found:
        output.show(_ADVICE_HIDDEN if found.unknown else _ADVICE_AMBIGUOUS if found.ambiguous else _ADVICE)


_ADVICE = (
    "\nNo file of the list is found in the dataset by its name. `--columns file=NAME` names the column of "
    "the files, if another one was read. If the images have other names there, build those of the list, and "
    "find them with `cxrbuild overlap`."
)
_ADVICE_AMBIGUOUS = (
    "\nNo row is compared: no name means one image of the dataset for sure. `--columns source=NAME` names "
    "the column of the sources, if the list has one: then a file can have another suffix in the dataset, or "
    "the name of one in another source."
)
_ADVICE_HIDDEN = (
    "\nNo file of the list is found in the dataset by its name: the public release hides the file names of "
    "sources that are not public. The build that it was made from has them, and so has a private release."
)


def _describe_class(word: ClassWord) -> str:
    """Describe which class a word means, and why, or why that is not known."""
    total = sum(word.images.values())
    images = ", ".join(f"{number:,} {label}" for label, number in sorted(word.images.items()))
    match word.by:
        case "name":
            # As where two words are swapped.
            other = sum(word.images.values()) > 2 * word.images.get(word.label or "", 0)
            but = f", but its images in both are {images}" if other else ""
            return f"class {word.word}: {word.label}, by its name{but}."
        case "images":
            most = word.images[word.label or ""]
            why = f"the class of {most:,} of {total:,} images in both"
            return f"class {word.word}: taken for {word.label}, {why}."
        case _:
            why = f"its images in both are {images}" if images else "no image in both has it"
            return f"class {word.word}: not checked; the dataset has no class of this name, and {why}."


def _describe_result(check: ListCheckResult) -> str:
    """Describe what a check found. What should hold is no heading of what does not."""
    if check.findings is None:
        return f"not checked, {check.reason}. Must hold: {check.sentence}"
    of_rows = f" in {count_of(check.rows, 'row')}, {check.reason}" if check.reason else ""
    if check.findings:
        return f"{count_of(len(check.findings), 'finding')}{of_rows}. Must hold: {check.sentence}"
    return f"passed{of_rows}. {check.sentence}"
