"""The command `doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import PATH, data_option, output_options
from cxrbuild.cli.output import Output
from cxrbuild.cli.wrapping import folded


@click.command(cls=Command)
@data_option
@click.option(
    "--out", type=PATH, default=Path("build"), show_default=True, metavar="DIR", help="Folder of the builds."
)
@click.option("--offline", is_flag=True, help="Do not connect to the hosts of the sources.")
@output_options
def doctor(data: Path, out: Path, offline: bool, quiet: bool, as_json: bool) -> None:
    """Check versions, extras, decoders, folders and network.

    A missing extra is listed with the command that installs it. Problems end with status 3.
    """
    from cxrbuild.environment import check_environment
    from cxrbuild.errors import CheckError, count_of

    output = Output(quiet=quiet, as_json=as_json)
    environment = check_environment(data, out, network=not offline)
    words = {"ok": "ok", "optional": "missing (optional)", "problem": "PROBLEM"}
    # Problems first: a terminal shows the end of a long list, a reader begins at the start.
    for one in sorted(environment.observations, key=lambda one: one.status != "problem"):
        output.show(folded(f"{one.subject}: {words[one.status]}; {one.found}", 0))
        if one.todo:
            output.show(folded(one.todo, 4))
    output.result("doctor-1", environment.to_dict())
    if problems := environment.problems:
        raise CheckError(
            f"{count_of(len(problems), 'problem')} of this environment",
            found="; ".join(one.subject for one in problems),
            todo="See the lines marked PROBLEM",
        )
