"""The command `release`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cxrbuild.cli.options import DEFAULT_RECIPE, PATH, output_options
from cxrbuild.cli.output import Output

if TYPE_CHECKING:
    from cxrbuild.releasing import ReleaseResult


@click.command()
@click.argument("version")
@click.option(
    "--build", type=PATH, default=Path("build") / DEFAULT_RECIPE, show_default=True, help="The build to pack."
)
@click.option(
    "--out", type=PATH, help="The release's folder.  [default: release/NAME-VERSION, -private if it is]"
)
@click.option(
    "--policy",
    type=click.Choice(["public", "private"]),
    default="public",
    show_default=True,
    help="Embed the pixels that may be passed on, or all.",
)
@click.option(
    "--previous", type=PATH, help="The release before.  [default: the newest older one beside --out]"
)
@output_options
def release(
    version: str,
    build: Path,
    out: Path | None,
    policy: Literal["public", "private"],
    previous: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Pack a build as a versioned directory that others can load, check, cite and rebuild.

    VERSION is MAJOR.MINOR.PATCH; a step too small for what changed since the release before is refused. The
    date is SOURCE_DATE_EPOCH's, else the recipe's: the same build and version give the same bytes.
    """
    from cxrbuild.releasing import default_folder
    from cxrbuild.releasing import release as make_release

    output = Output(quiet=quiet, as_json=as_json)
    out = out or default_folder(build, version, policy)
    result = make_release(build, version, out, policy=policy, previous=previous, progress=output.progress)
    _report(output, result)


def _report(output: Output, result: ReleaseResult) -> None:
    """Report what was released."""
    document, out = result.release.document, result.release.folder
    images = sum(sum(part.values()) for part in document.counts.values())
    hidden = sum(document.withheld.values())
    if hidden:
        output.table(["withheld", "images"], [[why, n] for why, n in document.withheld.items()])
        output.say("")
    if document.policy == "private":
        output.say("Private: it embeds films that may not be passed on.")
    if images == hidden:
        output.say(
            "No film may be passed on, so none has pixels here: the table above says why. A licence allows "
            "what cxrbuild's table of licences says of it, and one that is not in the table allows nothing. "
            "For use in house pack it with --policy private. To pass your own films on, declare a licence of "
            "the table for their source, such as CC-BY-4.0."
        )
    if document.missing:
        output.say(f"Incomplete: {len(document.missing):,} films could not be had. It cannot be published.")
    if document.unpinned:
        output.say(f"Unpinned: {', '.join(document.unpinned)}. It cannot be published.")
    dataset = document.dataset
    done = "is packed" if result.written else "stands as it was packed, nothing to do"
    output.say(
        f"{dataset.name} {dataset.version} ({document.policy}) {done}: {images:,} images, "
        f"{images - hidden:,} with pixels, in {out}"
    )
    output.result(result.to_dict())
