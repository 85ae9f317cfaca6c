"""The split of a recipe: which images are train, validation and test."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cxrbuild.catalog.declarations import ByWord, Declaration, Word
from cxrbuild.errors import suggest
from cxrbuild.records import SPLITS

Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(gt=0, lt=1)]


class DeclaredSplit(Declaration):
    """A source that declares the split of its images, in folders or a column."""

    source: str = Field(description="the source")
    map: ByWord[str] = Field(
        description="the source's values of `upstream_split`, each with our split: train, validation or test"
    )

    @model_validator(mode="after")
    def _check_splits(self) -> DeclaredSplit:
        if unknown := sorted(set(self.map.values()) - set(SPLITS)):
            raise ValueError(
                "\n".join(f"map: {name!r} is no split; {suggest(name, SPLITS, 'split')}" for name in unknown)
            )
        return self


class DrawnSplit(Declaration):
    """A split that is drawn group by group: exact counts of each class, or a share."""

    count: ByWord[Count] | None = Field(None, description="images of each class")
    share: _Share | None = Field(None, description="share of the groups, decided for each group alone")

    @model_validator(mode="after")
    def _check_one(self) -> DrawnSplit:
        if (self.count is None) == (self.share is None):
            raise ValueError("give either `count` or `share`")
        return self


class PublishedSplit(Declaration):
    """A split that somebody published as a list: it decides which images are kept, their class and split."""

    list: str = Field(description="the list: a shipped one by name, an own one by path (.toml)")


class Folds(Declaration):
    """Folds for cross-validation. A group stays whole; each fold has its share of split, class and source."""

    count: Annotated[int, Field(ge=2)] = Field(description="the number of folds")


class Split(Declaration):
    """How the kept images are split. A group (a patient, with all images linked to it) stays whole."""

    salt: str = Field(description="part of the hash that decides; another salt gives another split")
    declared: list[DeclaredSplit] = Field(
        default_factory=list, description="sources that declare the split of their images"
    )
    test: DrawnSplit | None = Field(None, description="the test split of all other sources")
    validation: DrawnSplit | None = Field(None, description="a validation split, drawn from train")
    published: PublishedSplit | None = Field(
        None, description="a published list that gives each image's class and split; then nothing is drawn"
    )
    previous: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="the former version whose split is held: the folder of a build, a release or "
        "`plan --out`, a published manifest (`name/version`), or a Parquet or CSV file with `image_id` (or "
        "`source` and `path`) and `split`; only groups without an image in it are drawn",
    )
    folds: Folds | None = Field(None, description="folds for cross-validation, next to the splits")
    allow_empty: dict[str, list[Word]] = Field(
        default_factory=dict, description="for a split, the classes that may have no image in it"
    )
    links: list[str] = Field(
        default_factory=list,
        description="link files (duplicates, images of one patient): shipped by name, own by path",
    )

    @model_validator(mode="after")
    def _check_published(self) -> Split:
        if self.published is not None:
            both = [key for key in ("declared", "test", "validation", "previous") if getattr(self, key)]
            if both:
                raise ValueError(
                    "\n".join(f"{key}: the list under `published` gives every split" for key in both)
                )
        return self
