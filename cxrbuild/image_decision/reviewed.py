"""Find where the reviews of a build, a release or a plan are written, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cxrbuild.artifact import Artifact
from cxrbuild.catalog import Recipe, Review, read_reviews
from cxrbuild.curation import read_declaration_files
from cxrbuild.errors import CxrbuildError


class RecordedReviews:
    """The reviews in the files that an artefact was made from, as far as these are known and there.

    Parameters
    ----------
    artifact
        A build, a release or a plan.
    recipe
        The recipe with its folder; ``None``: what the build records of its declarations.
    """

    def __init__(self, artifact: Artifact, recipe: Recipe | None) -> None:
        self._of_image: dict[tuple[str, str], list[Review]] = {}
        for name, base in _review_files(artifact, recipe):
            try:
                reviews = read_reviews(name, base)
            except (CxrbuildError, OSError):
                continue
            for review in reviews:
                self._of_image.setdefault((review.source, review.path), []).append(review)

    def find(self, source: str, path: str, mark: str, marks_finding: bool | None) -> Review | None:
        """Return the first review of an image that agrees with the ledger; ``None`` without one."""
        reviews = self._of_image.get((source, path), ())
        return next((one for one in reviews if (one.mark, one.marks_finding) == (mark, marks_finding)), None)


def _review_files(artifact: Artifact, recipe: Recipe | None) -> Iterator[tuple[str, Path]]:
    """Yield each review file by name or path, with the folder that a path is relative to."""
    files = read_declaration_files(artifact.folder)
    if files is not None:
        yield from ((name, Path()) for name in files.reviews)
    elif recipe is not None:
        yield from ((name, recipe.folder) for name in recipe.reviews)
    else:
        # Of any other file, only the name is known.
        yield from ((name, Path()) for name in artifact.document.recipe.reviews if not name.endswith(".csv"))
