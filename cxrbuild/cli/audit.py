"""The command `audit`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.options import DEFAULT_RECIPE, PATH, output_options
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.artifact import AuditDocument

# What is left of 80 columns beside the ids and the status.
_WORDS = 46


@click.command()
@click.option("--build", type=PATH, metavar="DIR", help="The build to audit.  [default: build/<recipe>]")
@click.option(
    "--recipe",
    "recipe_name",
    default=DEFAULT_RECIPE,
    show_default=True,
    metavar="NAME|FILE",
    help="Whose [audit] says the limits: a shipped recipe, or a .toml file.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes that work.  [default: one a processor]")
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="local|dask://HOST:PORT",
    help="Where to work.",
)
@output_options
def audit(
    build: Path | None,
    recipe_name: str,
    workers: int | None,
    executor: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Look for what makes a build less than it says: leaks, duplicates, conflicts.

    Leaves `audit.json` and `audit.html` in the build, which a release takes along. Ends with status 3 if a
    check finds more than its limit.
    """
    from cxrbuild.auditing.audit import audit as audit_build
    from cxrbuild.auditing.audit import require_passed
    from cxrbuild.catalog import read_recipe
    from cxrbuild.executors import default_workers

    output = Output(quiet=quiet, as_json=as_json)
    recipe = read_recipe(recipe_name)
    folder = build or Path("build") / recipe.name
    result = audit_build(
        folder, recipe, workers=workers or default_workers(), executor=executor, progress=output.progress
    )
    report_audit(output, folder, result)
    require_passed(result, folder)


def report_audit(output: Output, build: Path, result: AuditDocument) -> None:
    """Tell what came of an audit."""
    from cxrbuild.report.page import describe_statuses

    rows: list[list[object]] = []
    for check in result.checks:
        allowed = f" (up to {check.limit:g} allowed)" if check.status == "passed" and check.value else ""
        first, *more = textwrap.wrap(check.message + allowed, _WORDS)
        rows.append([check.id, check.status, first])
        rows.extend(["", "", line] for line in more)
    output.table(["check", "status", "found"], rows)
    output.say("")
    for sentence in describe_statuses(check.status for check in result.checks):
        output.say(sentence)
    output.say(f"\nThe films are shown in {build / 'audit.html'}.")
    output.result({"build": str(build)} | result.to_dict())
