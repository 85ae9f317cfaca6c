"""What `audit --list` does and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of

if TYPE_CHECKING:
    from cxrbuild.lists import ListAuditResult
    from cxrbuild.lists.audit import ListCheckResult

_SHOWN = 3


def audit_given_lists(
    output: Output,
    lists: Sequence[str],
    columns: str | None,
    recipe: str,
    data: Path,
    *,
    pixels: bool,
    workers: int | None,
    executor: str,
) -> None:
    """Audit the lists that `--list` names, against the sources in the data folder if there are any.

    Raises
    ------
    CheckError
        A check found something.
    """
    from cxrbuild.api import audit_lists
    from cxrbuild.lists import require_clean

    result = audit_lists(
        lists,
        data if data.is_dir() else None,
        recipe,
        columns=_parse_columns(columns),
        pixels=pixels,
        workers=workers,
        executor=executor,
        progress=output.progress,
    )
    known = any(found is not None for _, found in result.sources.values())
    _report(output, result)
    if not known:
        output.say(f"No sources in {data}: the lists are compared with nothing. `--data` names their folder.")
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
    output.say("")
    output.table(
        ["source", "rows", "of these in metadata here"],
        [
            [name or "not named", rows, "-" if found is None else found]
            for name, (rows, found) in result.sources.items()
        ],
    )
    for check in result.checks:
        output.say(f"\n{check.id}: {_describe_result(check)}")
        for finding in (check.findings or [])[:_SHOWN]:
            output.say(f"  {finding.message}: {', '.join(finding.rows[:_SHOWN])}")
        if len(check.findings or []) > _SHOWN:
            output.say("  ...; --json lists all")
    output.say("")
    if result.compared is not None:
        output.say(
            f"{count_of(result.compared, 'image')} of the lists "
            f"{'has a file' if result.compared == 1 else 'have files'} here; "
            "these were compared with each other."
        )


def _describe_result(check: ListCheckResult) -> str:
    """Describe what a check found. What should hold is no heading of what does not."""
    if check.findings is None:
        return f"not checked, {check.reason}. Must hold: {check.sentence}"
    of_rows = f" in {count_of(check.rows, 'row')}, {check.reason}" if check.reason else ""
    if check.findings:
        return f"{count_of(len(check.findings), 'finding')}{of_rows}. Must hold: {check.sentence}"
    return f"passed{of_rows}. {check.sentence}"
