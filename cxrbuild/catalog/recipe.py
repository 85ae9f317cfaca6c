"""A recipe: sources, classes, rules in order, split, and the counts to expect."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from cxrbuild.catalog.audit import Audit
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.catalog.datasheet import Datasheet
from cxrbuild.catalog.declarations import Declaration, read_toml
from cxrbuild.catalog.rule import LabelledRule, Rule
from cxrbuild.catalog.source import CATALOG, Name
from cxrbuild.errors import DeclarationError
from cxrbuild.records import SPLITS

DEFAULT_RECIPE = "covid19-cxr"
_LONGEST_CLASS = 60
# Windows reserves these names for devices, with any suffix and in any case.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_Share = Annotated[float, Field(gt=0, lt=1)]


class DeclaredSplit(Declaration):
    """A source that declares the split of its images, in folders or a column."""

    source: str = Field(description="the source")
    map: dict[str, str] = Field(
        description="the source's values of `upstream_split`, each with our split: train, validation or test"
    )

    @model_validator(mode="after")
    def _check_splits(self) -> DeclaredSplit:
        if unknown := sorted(set(self.map.values()) - set(SPLITS)):
            raise ValueError(f"map: unknown split {', '.join(unknown)}; known: {', '.join(SPLITS)}")
        return self


class DrawnSplit(Declaration):
    """A split that is drawn group by group: exact counts of each class, or a share."""

    count: dict[str, Annotated[int, Field(ge=0)]] | None = Field(None, description="images of each class")
    share: _Share | None = Field(None, description="share of the groups, decided for each group alone")

    @model_validator(mode="after")
    def _check_one(self) -> DrawnSplit:
        if (self.count is None) == (self.share is None):
            raise ValueError("give either `count` or `share`")
        return self


class Split(Declaration):
    """How the kept images are split. A group (a patient, with all images linked to it) stays whole."""

    salt: str = Field(description="part of the hash that decides; another salt gives another split")
    declared: list[DeclaredSplit] = Field(
        default_factory=list, description="sources that declare the split of their images"
    )
    test: DrawnSplit | None = Field(None, description="the test split of all other sources")
    validation: DrawnSplit | None = Field(None, description="a validation split, drawn from train")
    links: list[str] = Field(
        default_factory=list,
        description="link files (duplicates, images of one patient): shipped by name, own by path",
    )


class Conversion(Declaration):
    """How images become 8-bit one-channel JPEG."""

    quality: int = Field(95, ge=1, le=100, description="JPEG quality, as libjpeg scales it")
    max_pixels: int = Field(
        100_000_000,
        gt=0,
        description="images with more pixels are excluded",
    )


class Recipe(Declaration):
    """A dataset, as ``catalog/recipes/*.toml`` or a user's own file declares it."""

    name: Name = Field(description="the dataset's name")
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = Field(
        description="the dataset's version: MAJOR.MINOR.PATCH"
    )
    date: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = Field(
        None, description="the day of this version, YYYY-MM-DD; its releases show it"
    )
    title: str = Field(description="its full name")
    description: str = Field("", description="what a reader should know about it")
    citation: str | None = Field(None, description="what to cite")
    sources: list[str] = Field(min_length=1, description="shipped sources by name, own ones by path (.toml)")
    reviews: list[str] = Field(default_factory=list, description="review files: shipped by name, own by path")
    labels: dict[str, dict[str, list[str]]] = Field(
        min_length=1,
        description="for each class, in the order of its number, each source's findings. A class's name is "
        "also a folder's name: letters of any script, digits, single spaces and - _ + . ( )",
    )
    rules: list[Rule] = Field(default_factory=list, description="the rules in order: the first one wins")
    split: Split = Field(description="how the kept images are split")
    conversion: Conversion = Field(Conversion.model_validate({}), description="how images become JPEG")
    expect: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="for each split, the images of each class; a build must have them"
    )
    manifest: str | None = Field(
        None, description="the published manifest (`name/version`) to compare a build with"
    )
    baseline: Baseline | None = Field(None, description="the baseline model and its training")
    datasheet: Datasheet = Field(
        Datasheet.model_validate({}), description="what a reader must know before use"
    )
    audit: Audit = Field(Audit.model_validate({}), description="the limits of its audit")
    folder: Path = Field(exclude=True, description="the folder of the recipe; not a key of the file")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        problems = _class_name_problems(self.labels)
        names = [rule.name for rule in self.rules]
        problems += [
            f"rules: two rules are called {name}" for name in sorted(set(names)) if names.count(name) > 1
        ]
        if not any(isinstance(rule, LabelledRule) for rule in self.rules):
            problems.append("rules: none of kind `labelled`, so images without a class would be kept")
        counted = {f"expect.{split}": set(counts) for split, counts in self.expect.items()}
        for split in ("test", "validation"):
            drawn = getattr(self.split, split)
            if drawn is not None and drawn.count is not None:
                counted[f"split.{split}.count"] = set(drawn.count)
        if self.baseline is not None:
            counted |= {f"baseline.{key}": named for key, named in self.baseline.classes_by_key().items()}
        for key, classes in counted.items():
            problems += [f"{key}: {name!r} is no class" for name in sorted(classes - set(self.labels))]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def classes(self) -> list[str]:
        """The classes in the order of their numbers."""
        return list(self.labels)


def _class_name_problems(names: Iterable[str]) -> list[str]:
    """Return a message for each name that not every system allows for a folder."""
    problems = []
    folded: dict[str, str] = {}
    for name in names:
        if len(name) > _LONGEST_CLASS:
            problems.append(f"labels: {name!r} is longer than {_LONGEST_CLASS} characters")
        elif not _is_class_name(name):
            problems.append(
                f"labels: {name!r} cannot be the name of a class, which is also a folder's name; expected "
                "letters, digits, single spaces and - _ + . ( ), first a letter or digit, last no dot or "
                "space, and no name that Windows reserves"
            )
        # Some file systems fold case, some decompose letters with accents.
        twin = folded.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if twin != name:
            problems.append(
                f"labels: {twin!r} and {name!r} differ only in case, or look the same; on some file systems "
                "they would be one folder"
            )
    return problems


def _is_class_name(name: str) -> bool:
    # Letters of any script, the marks that belong to them, and decimal digits.
    kinds = ["-" if sign in " -_+.()" else unicodedata.category(sign) for sign in name]
    return (
        all(kind == "-" or kind[0] in "LM" or kind == "Nd" for kind in kinds)
        and kinds[:1] not in ([], ["-"])
        and kinds[0][0] != "M"
        and not name.endswith((".", " "))
        and "  " not in name
        and not _DEVICES.fullmatch(name)
    )


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in (CATALOG / "recipes").glob("*.toml"))


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name
        The name of a shipped recipe, or the path of a TOML file.

    Raises
    ------
    DeclarationError
        There is no such recipe, or its declaration has problems.
    """
    path = Path(name) if name.endswith(".toml") else CATALOG / "recipes" / f"{name}.toml"
    if not name.endswith(".toml") and not path.is_file():
        raise DeclarationError(
            f"no recipe is called {name!r}",
            expected=f"one of {', '.join(recipe_names())}, or the path of a .toml file",
        )
    return read_toml(path, Recipe, folder=path.parent.resolve())
