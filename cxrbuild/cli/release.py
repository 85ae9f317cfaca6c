"""The command `release`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import PLACE, default_build, executor_option, output_options, workers_option
from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, verb_of

if TYPE_CHECKING:
    from cxrbuild.artifact.pixels import PixelCount
    from cxrbuild.releasing import ReleaseResult


@click.command(cls=Command)
@click.argument("version")
@click.option(
    "--build",
    type=PLACE,
    metavar="DIR",
    help="Build to release.  [default: the only build in build/, or that of the only recipe here]",
)
@click.option(
    "--out",
    type=PLACE,
    help="Folder of the release.  [default: release/NAME-VERSION, with -private for a private one]",
)
@click.option(
    "--policy",
    type=click.Choice(["public", "private"]),
    default="public",
    show_default=True,
    help="public includes pixels whose licence allows it; private includes all.",
)
@click.option(
    "--previous", type=PLACE, help="The previous release.  [default: the newest older one next to --out]"
)
@click.option(
    "--size",
    "sizes",
    type=int,
    multiple=True,
    metavar="PIXELS",
    help="Add the images resized to squares of this side, such as 224; repeatable.  [default: none]",
)
@workers_option
@executor_option("Where to resize the images that --size adds, and to check them.")
@output_options
def release(
    version: str,
    build: Path | str | None,
    out: Path | str | None,
    policy: Literal["public", "private"],
    previous: Path | str | None,
    sizes: tuple[int, ...],
    workers: int | None,
    executor: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a versioned release from a build.

    VERSION is MAJOR.MINOR.PATCH, as the recipe of the build has it. It must increase as much as the changes
    since the previous release require. The date is SOURCE_DATE_EPOCH, else the recipe's date: the same build
    gives the same bytes.
    """
    from cxrbuild.api import release as make_release

    output = Output(quiet=quiet, as_json=as_json)
    if build is None:
        build = default_build(output)
    result = make_release(
        build, version, out, policy=policy, previous=previous, sizes=sizes, workers=workers,
        executor=executor, progress=output.progress,
    )  # fmt: skip
    _report(output, result, build, out if isinstance(out, str) else str(result.release.folder))


def _report(output: Output, result: ReleaseResult, build: Path | str, out: str) -> None:
    """Report what was released, from which build and recipe, and where."""
    from cxrbuild.artifact import names

    document = result.release.document
    recipe = document.recipe
    output.show(f"Build {build}: recipe {recipe.name}, version {recipe.version}.")
    images = sum(sum(part.values()) for part in document.counts.values())
    hidden = sum(document.withheld.values())
    if hidden:
        reasons = result.release.count_withheld()
        labels = document.recipe.classes
        output.table(
            ["withheld", *labels, "all"],
            [[why, *(reasons[why][label] for label in labels), n] for why, n in document.withheld.items()],
        )
        output.show("")
        if images > hidden:
            _report_pixels(output, result)
    from cxrbuild.policy import count_unreviewed

    rows = result.release.manifest
    shown = rows[rows["withheld"].isna()]
    if unreviewed := count_unreviewed(shown):
        output.show(
            f"{unreviewed:,} of {count_of(len(shown), 'image')} with pixels "
            f"{verb_of(unreviewed, 'has')} no review: nobody has looked for names and "
            "marks on them. `cxrbuild review` makes a page to look at them."
        )
    if document.policy == "private":
        output.show("Private: it includes all images, whatever their licence. Do not redistribute it.")
    if images == hidden:
        output.show(
            "No image may be redistributed, so the release has no pixels; the table above has the reasons. "
            "A licence that is not in cxrbuild's table of licences allows nothing. For internal use, release "
            "with --policy private. To redistribute your own images, declare a licence for their source, for "
            "example CC-BY-4.0, which also needs [columns.attribution]."
        )
    if document.missing_images:
        missing = count_of(document.missing_images, "image")
        counted = [one for one in result.release.count_pixels() if one.missing]
        classes = ", ".join(f"{one.missing:,} {one.label} of {one.split}" for one in counted)
        by_class = f" ({classes})" if classes else ""
        output.show(f"Incomplete: {missing} missing{by_class}. The release cannot be published.")
    if document.unpinned:
        output.show(f"Unpinned: {', '.join(document.unpinned)}. The release cannot be published.")
    audit = result.release.audit
    if audit is not None and audit.status == "failed":
        failed = [check.id for check in audit.checks if check.status == "failed"]
        output.show(f"Failed checks of its audit: {', '.join(failed)}. The card and the report state them.")
    dataset = document.dataset
    if result.changes is not None and result.changes.bump is None:
        output.show(f"Nothing changed since {result.changes.old}: images, labels and splits are the same.")
    done = "released" if result.written else "unchanged"
    output.show(
        f"{dataset.name} {dataset.version} ({document.policy}) {done}: {count_of(images, 'image')}, "
        f"{images - hidden:,} with pixels, in {out}"
    )
    output.show(f"The report is {out}/{names.REPORT}, the card {out}/{names.CARD}")
    output.result("release-1", result.to_dict() | {"release": out, "build": str(build)})


def _report_pixels(output: Output, result: ReleaseResult) -> None:
    """Report how many images of each class and split have pixels, and how to have those of all."""
    counted = result.release.count_pixels()
    splits = list(dict.fromkeys(one.split for one in counted))
    rows = []
    for label in result.release.classes:
        of_class = [one for one in counted if one.label == label]
        cells = [[one for one in of_class if one.split == split] for split in splits]
        rows.append([label, *(_of_all(cell) for cell in [*cells, of_class])])
    output.table(["with pixels", *splits, "all"], rows, right=len(splits) + 1)
    output.show("")
    output.show(
        "Loading the release gives only the images with pixels. A release with --policy private has the "
        "pixels of all images, whatever their licence: for your own use, never to be redistributed."
    )


def _of_all(counted: Iterable[PixelCount]) -> str:
    counts = [(one.pixels, one.images) for one in counted]
    pixels, images = (sum(numbers) for numbers in zip(*counts, strict=True)) if counts else (0, 0)
    return f"{pixels:,} of {images:,}"
