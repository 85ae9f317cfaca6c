"""A recipe with everything that it names, read from its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cxrbuild.catalog import (
    Correction,
    ImageList,
    Link,
    Recipe,
    Review,
    Source,
    check_list,
    find_contradictions,
    read_corrections,
    read_image_list,
    read_links,
    read_recipe,
    read_reviews,
    read_source,
    source_names,
)
from cxrbuild.catalog.correction import CORRECTIONS
from cxrbuild.catalog.override import Overrides, ReviewOverride
from cxrbuild.curation.previous import PreviousVersion, read_previous
from cxrbuild.errors import DeclarationError, name_some, suggest
from cxrbuild.files import sha256_of
from cxrbuild.rules import switch_rules

# How a review file writes the column `marks_finding`.
_FINDING = {True: "yes", False: "no", None: "blank"}


@dataclass(frozen=True)
class Declared:
    """A recipe with everything that it names, read from its files.

    Attributes
    ----------
    recipe
        The recipe, its rules switched.
    overrides
        How the switches and added reviews differ from what the recipe declares.
    sources, reviews, links
        What the recipe names.
    image_list
        The list under ``split.published``; ``None`` where there is none.
    previous
        The former version under ``split.previous``; ``None`` where there is none. The recipe has its name.
    corrections
        The recipe's corrections of single values.
    correction_files
        The hash of each file of corrections, by its name without its folder.
    """

    recipe: Recipe
    overrides: Overrides
    sources: list[Source]
    reviews: list[Review]
    links: list[Link]
    image_list: ImageList | None = None
    previous: PreviousVersion | None = None
    corrections: Sequence[Correction] = ()
    correction_files: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespaces(self) -> dict[str, str | None]:
        """The ``patient_namespace`` that each source declares."""
        return {source.name: source.patient_namespace for source in self.sources}

    @property
    def separators(self) -> dict[str, str | None]:
        """The ``finding_separator`` that each source declares."""
        return {source.name: source.finding_separator for source in self.sources}


def read_declared(
    recipe: str | Path | Recipe, switches: Mapping[str, bool], reviews: Sequence[str] = ()
) -> Declared:
    """Read a recipe with everything that it names.

    Parameters
    ----------
    recipe
        A recipe, the name of a shipped one, or the path of a TOML file.
    switches
        For each switch whether such images are dropped.
    reviews
        Additional review files, by name or path; they override the recipe's reviews of the same images.

    Raises
    ------
    DeclarationError
        A file has problems, or two of ``reviews`` contradict each other.
    """
    read = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe))
    recipe, overrides = switch_rules(read, switches)
    sources = [read_source(name, recipe.folder) for name in recipe.sources]
    recipe.check_sources(sources)
    image_list = None
    if recipe.split.published is not None:
        image_list = read_image_list(recipe.split.published.list, recipe.folder)
        check_list(recipe, image_list, sources)
    previous = None
    if recipe.split.previous is not None:
        previous = read_previous(recipe.split.previous, recipe.folder)
        # Where a folder lies is of no meaning elsewhere, and can be private.
        split = recipe.split.model_copy(update={"previous": previous.name})
        recipe = recipe.model_copy(update={"split": split})
    declared = Declared(
        recipe=recipe,
        overrides=Overrides(rules=tuple(overrides)),
        sources=sources,
        reviews=_reviews(recipe, {source.name for source in sources}),
        links=_links(recipe, {source.name for source in sources}),
        image_list=image_list,
        previous=previous,
        corrections=_corrections(recipe, {source.name for source in sources}),
        correction_files=_correction_files(recipe),
    )
    return _with_reviews(declared, reviews) if reviews else declared


def _with_reviews(declared: Declared, names: Sequence[str]) -> Declared:
    """Add review files, which override the recipe's reviews."""
    added: dict[tuple[str, str], tuple[str, Review]] = {}
    problems = []
    known = {source.name for source in declared.sources} | set(source_names())
    for name in names:
        for review in read_reviews(name, Path()):
            if review.source not in known:
                problems.append(
                    f"{name}: no source {review.source!r}; {suggest(review.source, sorted(known), 'source')}"
                )
            problems += _add_review(added, name, review)
    if problems:
        raise DeclarationError(
            "these reviews cannot be added\n  " + "\n  ".join(dict.fromkeys(problems)),
            todo="Resolve conflicts between reviewers; `cxrbuild review --compare` lists them",
        )
    reviews = {(review.source, review.path): review for review in declared.reviews}
    of_file = {name: [image for image, (file, _) in added.items() if file == name] for name in names}
    overrides = tuple(
        ReviewOverride(file=name, reviews=len(images), replaced=sum(image in reviews for image in images))
        for name, images in of_file.items()
    )
    return replace(
        declared,
        reviews=list((reviews | {image: review for image, (_, review) in added.items()}).values()),
        overrides=declared.overrides.model_copy(update={"reviews": overrides}),
    )


def _add_review(by_image: dict[tuple[str, str], tuple[str, Review]], name: str, review: Review) -> list[str]:
    """Add a review of a file unless its image has one; return the problem if that one says otherwise."""
    other, first = by_image.setdefault((review.source, review.path), (name, review))
    if (first.mark, first.marks_finding) == (review.mark, review.marks_finding):
        return []
    marks = [first.mark, review.mark]
    if first.mark == review.mark:
        marks = [f"marks_finding {_FINDING[one.marks_finding]}" for one in (first, review)]
    return [f"{review.source} {review.path}: {marks[0]} in {other}, {marks[1]} in {name}"]


def _reviews(recipe: Recipe, sources: set[str]) -> list[Review]:
    """Return the recipe's reviews; a file may have reviews of other sources."""
    problems: list[str] = []
    by_image: dict[tuple[str, str], tuple[str, Review]] = {}
    for name in recipe.reviews:
        for review in read_reviews(name, recipe.folder):
            problems += _add_review(by_image, name, review)
    if problems:
        raise DeclarationError(
            "reviews contradict each other\n  " + "\n  ".join(problems), where=", ".join(recipe.reviews),
            todo="Correct them, or write one file with `cxrbuild review --merge`",
        )  # fmt: skip
    reviews = [review for _, review in by_image.values()]
    known = sources | set(source_names())
    if unknown := sorted({review.source for review in reviews} - known):
        raise DeclarationError(
            "reviews name unknown sources", where=", ".join(recipe.reviews),
            expected=name_some(sorted(sources)),
            found="; ".join(f"{name!r}: {suggest(name, known, 'source')}" for name in unknown),
            todo="Correct the column `source`: these reviews would have no effect",
        )  # fmt: skip
    return reviews


def _corrections(recipe: Recipe, sources: set[str]) -> list[Correction]:
    """Return the recipe's corrections; a file may have corrections of shipped sources of other recipes."""
    problems: list[str] = []
    corrections: dict[tuple[str, str, str], Correction] = {}
    known = sources | set(source_names())
    for name in recipe.corrections:
        for one in read_corrections(name, recipe.folder):
            if one.source not in known:
                problems.append(
                    f"{one.place}, line {one.line}: no source {one.source!r}; "
                    + suggest(one.source, sorted(known), "source")
                )
            first = corrections.setdefault((*one.image, one.column), one)
            if first is not one:
                problems.append(
                    f"{one.place}, line {one.line}: {one.column} of {one.source} {one.path} is in "
                    f"{first.place}, line {first.line} already"
                )
    if problems:
        raise DeclarationError(
            "corrections that have no effect, or two\n  " + "\n  ".join(problems),
            todo="Correct the column `source`; correct each value of an image once",
        )
    return [one for one in corrections.values() if one.source in sources]


def _correction_files(recipe: Recipe) -> dict[str, str]:
    """Return the hash of each file of corrections by its name, which a build records without its folder."""
    files: dict[str, str] = {}
    for name in recipe.corrections:
        recorded = Path(name).name
        if recorded in files:
            raise DeclarationError(
                f"two files of corrections are called {recorded}", where=name_some(recipe.corrections),
                expected="names that differ: a build records a file without its folder",
                todo="Rename one of them, or write both into one file",
            )  # fmt: skip
        files[recorded] = sha256_of(CORRECTIONS.find(name, recipe.folder))
    return files


def _links(recipe: Recipe, sources: set[str]) -> list[Link]:
    """Return the links between images of the recipe's sources; a file may have links of other sources."""
    links = [link for name in recipe.split.links for link in read_links(name, recipe.folder)]
    named = {source for link in links for source, _ in (link.a, link.b)}
    if unknown := sorted(named - sources - set(source_names())):
        raise DeclarationError(
            "links name unknown sources", where=", ".join(recipe.split.links),
            expected=name_some(sorted(sources)),
            found="; ".join(f"{name!r}: {suggest(name, sources, 'source')}" for name in unknown),
            todo="Correct the columns `source_a` and `source_b`",
        )  # fmt: skip
    if problems := find_contradictions(links):
        raise DeclarationError(
            "links contradict each other\n  " + "\n  ".join(problems), where=", ".join(recipe.split.links)
        )
    return [link for link in links if {link.a[0], link.b[0]} <= sources]
