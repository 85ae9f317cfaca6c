"""Review images: a page to mark them on, and two readers' reviews."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent

if TYPE_CHECKING:
    from cxrbuild.catalog import Recipe, Review
    from cxrbuild.review.agreement import ReviewAgreement
    from cxrbuild.review.merging import MergedReviews
    from cxrbuild.review.page import ReviewPage
    from cxrbuild.review.selection import ReviewImage


@checked
def write_review_page(
    build: AnyPath | None = None,
    recipe: AnyPath | Recipe = "covid19-cxr",
    data: AnyPath = "data",
    out: AnyPath | None = None,
    *,
    reviews: Sequence[AnyPath] = (),
    sources: Sequence[str] = (),
    labels: Sequence[str] = (),
    unreviewed: bool = False,
    conflicts: Sequence[AnyPath] | None = None,
    propose: bool = True,
    embed_images: bool | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> ReviewPage | None:
    """Write a page on which a reader marks images; it exports the marks as a review file.

    Parameters
    ----------
    build
        Review the images of this build.
    recipe
        Without ``build``: review the images of this recipe, as they are planned.
    data
        The data folder that ``fetch`` filled.
    out
        The HTML file; default ``review.html``, or ``conflicts.html`` with ``conflicts``.
    reviews
        Review files that override those of the build or the recipe.
    sources, labels
        Only images of these sources, and of these classes; default all.
    unreviewed
        Only images that nobody has judged: without a review, or marked ``unseen``.
    conflicts
        Two review files: only the images that they disagree on, with both readings.
    propose
        Show marks that a detector proposes.
    embed_images
        Embed large images in the page, or link the image files; default: embed up to 1,000.
    workers
        Number of processes; default one for each processor.
    progress
        Opens progress bars.

    Returns
    -------
    ReviewPage
        The page, and how many images it has; ``None`` where two review files have no conflict.

    Raises
    ------
    CxrbuildError
        No image is selected, a source was not fetched, or a review file has problems.
    """
    from cxrbuild.executors import default_workers, open_executor
    from cxrbuild.review.agreement import compare_reviews as compare
    from cxrbuild.review.page import write_page
    from cxrbuild.review.selection import select_conflicts, select_images

    readings = None
    if conflicts is not None:
        a, b = _two(conflicts)
        readings = compare(_read_with_reader(a), _read_with_reader(b)).conflicts
        if not readings:
            return None
    images, title, max_pixels = _list_images(build, recipe, Path(data), list(map(str, reviews)))
    if readings is not None:
        images = select_conflicts(images, readings)
    selected = select_images(images, sources=sources, labels=labels, unreviewed=unreviewed)
    default = "review.html" if conflicts is None else "conflicts.html"
    with open_executor("local", workers or default_workers(), batches=len(selected)) as executor:
        return write_page(
            selected, Path(out or default), executor, title=title, propose=propose, embed=embed_images,
            max_pixels=max_pixels, progress=progress,
        )  # fmt: skip


@checked
def compare_reviews(a: AnyPath, b: AnyPath) -> ReviewAgreement:
    """Measure how far two readers agree.

    Parameters
    ----------
    a, b
        Their review files.

    Returns
    -------
    ReviewAgreement
        Cohen's kappa of the marks, and ``conflicts``: the reviews that differ.

    Raises
    ------
    CxrbuildError
        A file has problems, or both have no image in common.
    """
    from cxrbuild.review.agreement import compare_reviews as compare

    return compare(_read(a), _read(b))


@checked
def merge_reviews(
    a: AnyPath, b: AnyPath, out: AnyPath = "merged.csv", *, decided: AnyPath | None = None
) -> MergedReviews:
    """Merge two review files into one.

    The file has no review of an image whose conflict is open.

    Parameters
    ----------
    a, b
        The review files of two readers.
    out
        The file to write.
    decided
        The review file that decides conflicts.

    Returns
    -------
    MergedReviews
        ``reviews``, and ``conflicts``: those that are open.

    Raises
    ------
    CxrbuildError
        A file has problems, or ``out`` cannot be written.
    """
    from dataclasses import replace

    from cxrbuild.catalog import format_reviews
    from cxrbuild.files import require_file_place, write_bytes
    from cxrbuild.review.merging import merge_reviews as merge

    decisions = [] if decided is None else _read_with_reader(decided)
    merged = replace(merge(_read_with_reader(a), _read_with_reader(b), decisions), out=Path(out))
    require_file_place(Path(out))
    write_bytes(Path(out), format_reviews(merged.reviews))
    return merged


def _two(files: Sequence[AnyPath]) -> tuple[AnyPath, AnyPath]:
    from cxrbuild.errors import CxrbuildError, count_of

    if len(files) != 2:
        raise CxrbuildError(
            "conflicts are those of two review files", found=count_of(len(files), "file"),
            todo="Name two files: `conflicts=(A, B)`",
        )  # fmt: skip
    return files[0], files[1]


def _read(path: AnyPath) -> list[Review]:
    from cxrbuild.catalog import read_reviews

    return read_reviews(str(Path(path).resolve()), Path())


def _read_with_reader(path: AnyPath) -> list[Review]:
    """Return the reviews of a file; a reader without a name has that of the file."""
    from dataclasses import replace

    return [one if one.reader else replace(one, reader=Path(path).stem) for one in _read(path)]


def _list_images(
    build: AnyPath | None, recipe: AnyPath | Recipe, data: Path, reviews: list[str]
) -> tuple[list[ReviewImage], str, int]:
    """Return the images, the name of the dataset, and the most pixels that its recipe allows."""
    from cxrbuild.artifact import open_build
    from cxrbuild.catalog import read_reviews
    from cxrbuild.curation import make_plan, read_declared
    from cxrbuild.review.selection import images_of_build, images_of_plan, without_draw

    if build is not None:
        folder = Path(build)
        given = [review for name in reviews for review in read_reviews(name, Path())]
        limit = open_build(folder).document.recipe.conversion.max_pixels
        return images_of_build(folder, data, given), folder.name, limit
    declared = read_declared(recipe, {}, reviews)
    images = images_of_plan(make_plan(without_draw(declared), data), data)
    return images, declared.recipe.name, declared.recipe.conversion.max_pixels
