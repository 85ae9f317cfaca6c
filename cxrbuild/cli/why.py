"""The command `why`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.excluded import report_excluded
from cxrbuild.cli.options import (
    NAME_OR_PATH,
    build_option,
    complete_shipped,
    data_option,
    default_build,
    output_options,
    recipe_here,
)
from cxrbuild.cli.output import Output
from cxrbuild.cli.wrapping import output_width
from cxrbuild.errors import CxrbuildError, count_of, name_some, printable

if TYPE_CHECKING:
    from cxrbuild.image_decision import (
        CorrectionResult,
        DecisionResult,
        DuplicateImage,
        ImageDecision,
        LinkedImage,
        OtherSplit,
        ReviewResult,
    )

# How many images are described; of more, each has a line. --json describes all.
_MOST = 3
# The most characters of a value of the metadata.
_LONGEST = 120
_KEY = 12


@click.command(cls=Command)
@click.argument("image", required=False)
@click.option(
    "--excluded", is_flag=True, help="List all excluded images instead, each with the value that decided."
)
@click.option("--rule", metavar="NAME", help="With --excluded: only images that this rule excludes.")
@build_option("The build or release to ask, or the folder of `plan --out`.")
@click.option(
    "--recipe",
    type=NAME_OR_PATH,
    metavar="NAME|FILE",
    shell_complete=complete_shipped("recipes"),
    help="The recipe with its own link files and sources.  [default: the recipe here that has the build's "
    "name, else shipped links and sources, by name]",
)
@data_option
@output_options
def why(
    image: str | None,
    excluded: bool,
    rule: str | None,
    build: Path | str | None,
    recipe: str | None,
    data: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Explain why an image is in a dataset or not, or list the excluded images.

    IMAGE is an image id, the path or name of a file of a source or build, a patient, or an accession number
    or UID of a DICOM header in --data. The path may be that on disk, as the shell completes it:
    data/sources/cohen/images/x.jpg. The command shows the source's pin, the metadata row, each rule's
    decision, the exclusion with the reviewer's note, the reason for class and split, links, and the
    duplicates that an audit found.

    If the source is not public, it shows only the columns of metadata that the declaration uses, so that no
    name or birth date is pasted into a ticket. The image id and the path can still be a number of the
    patient.

    `--excluded` lists the excluded images, by rule. A public release does not list those of sources that are
    not public. `--rule` also takes any other exclusion, such as `missing_file`.
    """
    from cxrbuild.api import list_excluded
    from cxrbuild.api import why as explain

    if image is not None and excluded:
        raise click.UsageError("IMAGE and --excluded exclude each other")
    if rule is not None and not excluded:
        raise click.UsageError("--rule requires --excluded")
    if image is None and not excluded:
        raise click.UsageError("Missing argument 'IMAGE', or --excluded to list the excluded images")
    output = Output(quiet=quiet, as_json=as_json)
    place = build or _default_build(output, recipe)
    if image is None:
        report_excluded(output, list_excluded(place, rule, recipe=recipe), rule)
        return
    _report(output, explain(image, place, recipe or recipe_here(output, place), data))


def _default_build(output: Output, recipe: str | None) -> Path:
    """Return the build that is asked where none is named; an error names the plan that could be asked."""
    try:
        return default_build(output, recipe)
    except CxrbuildError as error:
        plans = [path.parent for path in sorted(Path().glob("*/ledger.parquet"))]
        if plans and not Path("build").exists():
            error.todo = f"Ask the plan that is here with `--build {plans[0]}`, or run `cxrbuild curate`"
        raise


def _report(output: Output, result: DecisionResult) -> None:
    images = result.images
    if len(images) > 1:
        output.show(f"{count_of(len(images), 'image')} of {result.dataset}: {printable(result.name)}")
        for image in images:
            output.show(f"  {printable(image.image_id)}: {printable(_verdict(image))}")
    for image in images if len(images) <= _MOST else ():
        if len(images) > 1:
            output.show("")
        _report_image(output, image, result.dataset)
    if len(images) > _MOST:
        output.show("Name one of them for everything about it; --json has everything about all.")
    output.result("why-1", result.to_dict())


def _report_image(output: Output, image: ImageDecision, dataset: str) -> None:
    state = "is in" if image.kept else "is not in"
    output.show(f"{printable(image.image_id)} {state} {dataset}: {printable(_verdict(image))}")
    width = max(output_width(err=output.as_json) - _KEY - 2, 30)
    for key, text in _lines(image):
        lines = textwrap.wrap(printable(text), width, break_long_words=False, break_on_hyphens=False)
        for i, line in enumerate(lines):
            output.show(f"  {key if i == 0 else '':<{_KEY}}{line}")


def _verdict(image: ImageDecision) -> str:
    if image.kept:
        return f"{image.split}, {image.label}"
    # The mark that a rule of the same name excludes is not shown twice.
    detail = (image.detail or "").removeprefix(f"{image.exclusion}").removeprefix(": ")
    return f"{image.exclusion}" + (f" ({detail})" if detail else "")


def _is_by_review(image: ImageDecision) -> bool:
    """Return whether the rule that excludes an image asks what a reviewer saw."""
    return any(
        rule.result == "excludes" and rule.column in ("review", "marks_finding") for rule in image.rules
    )


def _describe_writer(review: ReviewResult | None) -> str:
    """Return who wrote a review, and where; empty where that is not known."""
    if review is None or review.file is None:
        return ""
    return (f", by {review.reader}" if review.reader else "") + f" ({review.file}, line {review.line})"


def _lines(image: ImageDecision) -> Iterator[tuple[str, str]]:
    """Yield everything that is known of an image, each with its title."""
    from cxrbuild.exactness import MEANINGS

    yield "source", f"{image.source}, {image.source_path}"
    yield "pin", _describe_pin(image.pin)
    if image.exactness is None:
        yield "bytes", "not known: a plan records no files, and the data folder has none of this pin"
    else:
        of_image = "of this image: " if "state" in image.pin else ""
        meaning = MEANINGS.get(image.exactness, "not compared: a withdrawn image needs no file")
        yield "bytes", of_image + meaning
    yield "read as", _values(image.upstream) or "no values"
    for correction in image.corrections:
        yield "corrected", _describe_correction(correction)
    if image.review:
        drawn = {True: ", drawn at a finding", False: ", not drawn at a finding", None: ""}
        meaning = image.review.meaning or "of another version"
        read = ". The pinned file may be what was reviewed" if image.exactness == "other_bytes" else ""
        mark = f"{image.review.mark} ({meaning}){drawn[image.review.marks_finding]}"
        note = f": {image.review.note}" if image.review.note else ""
        yield "review", f"{mark}{_describe_writer(image.review)}{note}{read}"
    for rule in image.rules:
        value = f" ({rule.column} {rule.value or 'blank'})" if rule.column else ""
        yield "rule", f"{rule.rule}: {rule.result}{value}"
    if not image.kept:
        by = image.review if image.review and _is_by_review(image) else None
        yield "excluded", f"{_verdict(image)}{_describe_writer(by)}. {image.meaning or ''}"
    if image.label:
        yield "class", image.label + (f": {image.label_reason}" if image.label_reason else "")
    if image.split:
        yield "split", image.split + (f": {image.split_reason}" if image.split_reason else "")
    for other in image.other_splits:
        if other.split != image.split:
            yield "other split", _describe_other(image, other)
        if image.label is not None and other.label not in (None, image.label):
            yield "other class", f"{image.label} here, {other.label} in {_place_of(other)}"
    if image.fold is not None:
        yield "fold", str(image.fold)
    if image.group:
        others = f"; with {name_some(image.group_images, 4)}" if image.group_images else ", this image alone"
        yield "group", image.group + others
    for link in image.links:
        yield "link", _describe_link(link)
    found = "; ".join(map(_describe_duplicate, image.duplicates or ()))
    yield "duplicates", image.duplicates_note or found or "none found by the audit"
    if image.withheld:
        yield "withheld", f"{image.withheld}: a public release has no pixels of it"
    # Last: some sources have notes of many lines.
    yield from _metadata_lines(image)


def _metadata_lines(image: ImageDecision) -> Iterator[tuple[str, str]]:
    shortened = False
    for row in image.metadata:
        values = {column: _shorten(value) for column, value in row.values.items()}
        shortened = shortened or values != row.values
        yield "metadata", f"{row.place}: {_values(values)}"
    if shortened:
        yield "metadata", "long values are shortened; --json has them whole"
    if image.metadata_hidden:
        yield "metadata", f"not shown, as they may identify the patient: {', '.join(image.metadata_hidden)}"
    if image.metadata_note:
        yield "metadata", f"not shown: {image.metadata_note}"


def _describe_pin(pin: Mapping[str, str]) -> str:
    """Describe a source's pin, and apart from it how the source as a whole was verified."""
    from cxrbuild.catalog.source import shown_listing

    texts = {**pin} | ({"listing": shown_listing(pin["listing"])} if "listing" in pin else {})
    pinned = ", ".join(
        f"{key} {value}" for key, value in texts.items() if key not in ("verified by", "state", "difference")
    )
    if "state" in pin:
        # The image itself can be verified: the line of its bytes shows whether it is.
        by_name = "only the names of its files are the pin's"
        known = by_name if pin.get("verified by") == "names" else "not verified"
        whole = f"{pin['state']}, {pin.get('difference', known)}"
    else:
        whole = f"verified by {pin['verified by']}" if "verified by" in pin else ""
    return (pinned or "none") + (f"; the source as a whole: {whole}" if whole else "")


def _describe_other(image: ImageDecision, other: OtherSplit) -> str:
    text = f"{image.split or 'excluded'} here, {other.split} in {_place_of(other)}"
    if image.group is None or other.group is None:
        return text
    if image.group == other.group:
        return f"{text}; group {image.group} in both"
    return f"{text}; group {image.group} here, {other.group} there"


def _place_of(other: OtherSplit) -> str:
    return other.version + (f" ({other.place})" if other.place else "")


def _describe_correction(one: CorrectionResult) -> str:
    old, new = (value or "blank" for value in (one.old, one.new))
    place = f"{one.file}, line {one.line}"
    if one.redacted:
        return f"{one.column} to {new} ({place}); the release does not give the old value and the reason"
    by = f", by {one.reader}" if one.reader else ""
    return f"{one.column} {old} -> {new}{by} ({place}): {one.reason}"


def _describe_link(link: LinkedImage) -> str:
    name = link.image or f"{link.source}/{link.path}"
    state = f"excluded by {link.exclusion}" if link.exclusion else link.split or "not in the ledger"
    when = ", declared after the build was made" if link.later else ""
    return f"{link.kind}{when}: {name} ({state})" + (f": {link.note}" if link.note else "")


def _describe_duplicate(pair: DuplicateImage) -> str:
    other = ", another split" if "split" in pair.crosses else ""
    changes = f"; {', '.join(pair.changes)}" if pair.changes else ""
    return f"{pair.kind}: {pair.image} ({pair.split}{other}; similarity {pair.similarity:g}{changes})"


def _shorten(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST].rstrip()}..."


def _values(values: dict[str, str]) -> str:
    return "; ".join(f"{column} {value}" for column, value in values.items())
