"""The command `publish`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import FOLDER, output_options
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.publishing import PublicationResult


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.argument("target")
@click.option("--dry-run", is_flag=True, help="List what would be sent, and send nothing.")
@click.option("--final", is_flag=True, help="Publish the Zenodo record. This cannot be undone.")
@click.option(
    "--jobs", type=click.IntRange(1), default=4, show_default=True, help="Number of files sent at a time."
)
@output_options
def publish(
    folder: Path, target: str, dry_run: bool, final: bool, jobs: int, quiet: bool, as_json: bool
) -> None:
    """Send a release to a folder, a bucket, a hub or an archive.

    TARGET is a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, sftp://HOST/PATH or another fsspec address,
    hf://datasets/OWNER/NAME, zenodo: for a new record, or zenodo:ID for a draft or a new version of a record.
    Files that are already there are not sent again. An interrupted upload is resumed.
    """
    from cxrbuild.api import publish as publish_release

    if final and not target.startswith("zenodo:"):
        raise click.UsageError("--final needs a zenodo: target")
    output = Output(quiet=quiet, as_json=as_json)
    done = publish_release(folder, target, dry_run=dry_run, final=final, jobs=jobs, progress=output.progress)
    _report(output, done)


def _report(output: Output, done: PublicationResult) -> None:
    """Report what was sent."""
    missing = "to send" if done.dry_run else "sent"
    rows = [["present" if step.held else missing, step.bytes, step.to] for step in done.steps]
    output.table(["", "bytes", "file"], rows)
    sent = [step for step in done.steps if not step.held]
    size = f"{sum(step.bytes for step in sent) / 1e6:,.1f} MB"
    release = f"{done.name} {done.version}"
    if done.dry_run:
        output.show(
            f"{release}: {len(sent)} of {len(done.steps)} files, {size}, would be sent to {done.target}."
        )
        if done.unread is not None:
            output.show(
                f"No connection to the target: {done.unread.rstrip('.')}. So these are all files of the "
                "release. Which of them the target has, and whether it takes the release, is not known."
            )
    elif sent:
        output.show(f"{release}: {len(sent)} of {len(done.steps)} files, {size}, sent to {done.target}.")
    else:
        output.show(f"{release} is already complete at {done.target}")
    for key, value in done.location.items():
        if value != done.target:
            output.show(f"{key}: {value}")
    output.result("publish-1", done.to_dict())
