"""Select the images that a reader reviews."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import open_build
from cxrbuild.catalog import Link, Review, read_links
from cxrbuild.curation import read_declaration_files
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.lockfile import source_folder
from cxrbuild.rules import excluded_by_review_alone

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.curation import Declared, Plan


_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReviewImage:
    """An image to review.

    Attributes
    ----------
    image_id, source, path, label
        Which image it is; ``path`` is relative to the source's root.
    files
        The files to read it from, the preferred one first: the source's file, because it has colour, then
        the build's JPEG. At least one.
    review
        The review that exists, ``None`` where nobody has reviewed it.
    readings
        The reviews of two readers who disagree.
    excluded
        The rule on reviews that alone excludes it, ``None`` for an image of the dataset.
    """

    image_id: str
    source: str
    path: str
    label: str
    files: tuple[Path, ...]
    review: Review | None
    readings: tuple[Review, ...] = ()
    excluded: str | None = None

    @property
    def is_judged(self) -> bool:
        """Whether a person has judged it: ``unseen`` says that nobody has."""
        return self.review is not None and self.review.mark != "unseen"


def images_of_build(build: Path, data: Path, reviews: Sequence[Review] = ()) -> list[ReviewImage]:
    """List the images of a build, and those that only rules on reviews exclude.

    An excluded image is listed if its source's file is there: the build has no JPEG of it.

    Parameters
    ----------
    build
        The build's folder.
    data
        The folder that ``fetch`` filled; its files are preferred to the build's grey JPEGs.
    reviews
        Reviews that override those recorded in the build.

    Raises
    ------
    CxrbuildError
        The folder holds no build, or files of images are missing from it and from the sources.
    """
    artifact = open_build(build)
    overriding = {(review.source, review.path): review for review in reviews}
    ledger, rules = artifact.ledger, artifact.document.recipe.rules
    _require_known(ledger, overriding, build)
    images, missing = [], []
    for row in artifact.manifest.to_dict("records"):
        source, path = row["source"], row["source_path"]
        original, jpeg = source_folder(data, source) / path, build / row["jpeg_path"]
        available = tuple(path for path in (original, jpeg) if path.is_file())
        if not available:
            missing.append(jpeg)
        review = overriding.get((source, path)) or _recorded_review(row)
        images.append(ReviewImage(row["image_id"], source, path, row["label"], available, review))
    for row in ledger[excluded_by_review_alone(ledger, rules, _links_of(build))].to_dict("records"):
        source, path = row["source"], row["source_path"]
        review = overriding.get((source, path)) or _recorded_review(row)
        if (original := source_folder(data, source) / path).is_file():
            images.append(
                ReviewImage(
                    row["image_id"], source, path, row["label"], (original,), review,
                    excluded=row["exclusion"],
                )
            )  # fmt: skip
    if missing:
        raise CxrbuildError(
            "images of the build are missing",
            where=build,
            found=f"{count_of(len(missing), 'missing file')}: {name_some(missing, 3)}",
            todo="Run `cxrbuild curate` again, which restores them, or name the sources with --data",
        )
    _logger.info(
        "read %s: %d images, %d without a file of the sources; %d given reviews", build, len(images),
        sum(len(image.files) == 1 and image.files[0].is_relative_to(build) for image in images), len(reviews),
    )  # fmt: skip
    return images


def without_draw(declared: Declared) -> Declared:
    """Return a recipe that draws no split: too few images may be left to draw from until they are reviewed.

    Which images are reviewed does not depend on the draw.
    """
    undrawn = dict.fromkeys(("test", "validation", "folds", "previous"))
    split = declared.recipe.split.model_copy(update=undrawn)
    return replace(declared, recipe=declared.recipe.model_copy(update={"split": split}), previous=None)


def images_of_plan(plan: Plan, data: Path) -> list[ReviewImage]:
    """List the available images that a recipe keeps, or that only rules on reviews exclude.

    Parameters
    ----------
    plan
        The recipe's plan.
    data
        The folder that ``fetch`` filled.
    """
    declared, records = plan.declared, plan.records
    by_review = excluded_by_review_alone(records, declared.recipe.rules, declared.links)
    records = records[records["label"].notna() & (records["exclusion"].isna() | by_review)]
    reviews = {(review.source, review.path): review for review in plan.declared.reviews}
    images = [
        ReviewImage(
            row["image_id"], row["source"], row["source_path"], row["label"],
            (source_folder(data, row["source"]) / row["source_path"],),
            reviews.get((row["source"], row["source_path"])),
            excluded=row["exclusion"] if isinstance(row["exclusion"], str) else None,
        )
        for row in records.to_dict("records")
    ]  # fmt: skip
    available = [image for image in images if image.files[0].is_file()]
    _logger.info(
        "planned %s: %d images, %d of them available", plan.declared.recipe.name, len(images), len(available)
    )
    return available


def select_images(
    images: Sequence[ReviewImage],
    *,
    sources: Sequence[str] = (),
    labels: Sequence[str] = (),
    unreviewed: bool = False,
) -> list[ReviewImage]:
    """Select images by source, by class, and by whether they have a review.

    Parameters
    ----------
    images
        The images to select from.
    sources, labels
        The sources and classes to keep; empty: all.
    unreviewed
        Keep only images that nobody has judged: without a review, or marked ``unseen``.

    Raises
    ------
    CxrbuildError
        No image is selected.
    """
    selected = [
        image
        for image in images
        if (not sources or image.source in sources)
        and (not labels or image.label in labels)
        and not (unreviewed and image.is_judged)
    ]
    _logger.debug(
        "selected %d of %d images: sources %s, classes %s, %s", len(selected), len(images), list(sources),
        list(labels), "unreviewed" if unreviewed else "reviewed or not",
    )  # fmt: skip
    if selected:
        return selected
    if not images:
        raise CxrbuildError(
            "there are no images to review",
            expected="files of the sources",
            todo="Run `cxrbuild fetch` first, or name the folder of the sources with --data",
        )
    criteria = [f"--source {source}" for source in sources] + [f"--label {label}" for label in labels]
    raise CxrbuildError(
        "no image is selected",
        expected=f"sources {', '.join(sorted({image.source for image in images}))}; "
        f"classes {', '.join(sorted({image.label for image in images}))}",
        found=f"{count_of(len(images), 'image')}, none of which matches "
        + " ".join([*criteria, *["--unreviewed"] * unreviewed]),
        todo="Remove one of these options",
    )


def select_conflicts(
    images: Sequence[ReviewImage], conflicts: Sequence[tuple[Review, Review]]
) -> list[ReviewImage]:
    """Select the images that two readers disagree on, with what each of them saw.

    Parameters
    ----------
    images
        The images to select from.
    conflicts
        The reviews of the two readers, of each image in conflict.

    Raises
    ------
    CxrbuildError
        An image in conflict is not among the images.
    """
    readings = {(a.source, a.path): (a, b) for a, b in conflicts}
    selected = [
        replace(image, readings=readings[image.source, image.path])
        for image in images
        if (image.source, image.path) in readings
    ]
    missing = set(readings) - {(image.source, image.path) for image in selected}
    if missing:
        raise CxrbuildError(
            "images in conflict cannot be shown",
            expected="images that the recipe keeps, or of the build",
            found=f"{count_of(len(missing), 'other image')}: "
            + name_some([f"{source} {path}" for source, path in sorted(missing)], 3),
            todo="Name their recipe with --recipe, or their build with --build",
        )
    return selected


def _links_of(build: Path) -> list[Link]:
    """Return the links of a build that can be read where they are."""
    files = read_declaration_files(build)
    names = [] if files is None else files.links
    there = [name for name in names if not name.endswith(".csv") or Path(name).is_file()]
    return [link for name in there for link in read_links(name, Path())]


def _recorded_review(row: Mapping[Hashable, Any]) -> Review | None:
    import pandas as pd

    if pd.isna(row["review"]):
        return None
    marks_finding = None if pd.isna(row["marks_finding"]) else bool(row["marks_finding"])
    return Review(row["source"], row["source_path"], row["review"], marks_finding, "")


def _require_known(ledger: pd.DataFrame, reviews: Mapping[tuple[str, str], Review], build: Path) -> None:
    """Refuse reviews of which none is of this build: they probably belong to another dataset.

    Images that the build excludes, for example because they were withdrawn, may have reviews.
    """
    known = set(zip(ledger["source"], ledger["source_path"], strict=True))
    if reviews and not known & set(reviews):
        raise CxrbuildError(
            "the reviews name no image of this build",
            where=build,
            found=name_some((path for _, path in reviews), 3),
            todo="Give reviews of this build's images with --reviews",
        )
