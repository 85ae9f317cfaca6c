"""A recipe: which sources, which classes, which rules in order, which split, what to expect."""

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

DEFAULT_RECIPE = "covid19-cxr"
_LONGEST_CLASS = 60
# Windows takes these for devices, with any suffix and in any case.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_Share = Annotated[float, Field(gt=0, lt=1)]


class DeclaredSplit(Declaration):
    """A source whose own folders or words say the split."""

    source: str = Field(description="the source")
    words: dict[str, str] = Field(description="its words for the parts, and ours: train, validation or test")

    @model_validator(mode="after")
    def _known_parts(self) -> DeclaredSplit:
        unknown = sorted(set(self.words.values()) - {"train", "validation", "test"})
        if unknown:
            raise ValueError(f"unknown part {', '.join(unknown)}; known: train, validation, test")
        return self


class Part(Declaration):
    """A part that is cut by group: exact counts by class, or a share."""

    count: dict[str, Annotated[int, Field(ge=0)]] | None = Field(None, description="images of each class")
    share: _Share | None = Field(None, description="share of the groups, decided for each group alone")

    @model_validator(mode="after")
    def _one(self) -> Part:
        if (self.count is None) == (self.share is None):
            raise ValueError("give either `count` or `share`")
        return self


class Split(Declaration):
    """How the kept images are parted; a group (a patient, with all that is linked to it) is never torn."""

    salt: str = Field(description="goes into the hash that decides; another salt is another split")
    declared: list[DeclaredSplit] = Field(default_factory=list, description="sources that say it themselves")
    test: Part | None = Field(None, description="the test part of all other sources")
    validation: Part | None = Field(None, description="a validation part, cut from train")
    links: list[str] = Field(
        default_factory=list, description="files of films that are the same film or patient"
    )


class Conversion(Declaration):
    """How films become 8-bit one-channel JPEG."""

    quality: int = Field(95, ge=1, le=100, description="JPEG quality, as libjpeg scales it")
    max_pixels: int = Field(
        100_000_000, gt=0, description="films with more pixels are refused; none of the sources has a tenth"
    )


class Recipe(Declaration):
    """A dataset, as ``catalog/recipes/*.toml`` or a user's own file declares it."""

    name: Name = Field(description="the dataset's name")
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = Field(
        description="the dataset's version: MAJOR.MINOR.PATCH"
    )
    date: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = Field(
        None, description="the day of this version, YYYY-MM-DD, as its releases tell it"
    )
    title: str = Field(description="its full name")
    description: str = Field("", description="what a reader should know of it")
    citation: str | None = Field(None, description="what to cite")
    sources: list[str] = Field(min_length=1, description="shipped sources by name, own ones by path (.toml)")
    reviews: list[str] = Field(default_factory=list, description="review files: shipped by name, own by path")
    labels: dict[str, dict[str, list[str]]] = Field(
        min_length=1,
        description="for each class, in the order of its number, each source's findings; folders and tables "
        "bear a class's name: letters of any script, digits, single spaces and - _ + . ( )",
    )
    rules: list[Rule] = Field(default_factory=list, description="the rules in order: the first one wins")
    split: Split = Field(description="how the kept images are parted")
    conversion: Conversion = Field(Conversion.model_validate({}), description="how films become JPEG")
    expect: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="for each part, the images of each class; a build must have them"
    )
    manifest: str | None = Field(
        None, description="the published manifest (`name/version`) to name differences from"
    )
    baseline: Baseline | None = Field(None, description="the model that shows what can be learned from it")
    datasheet: Datasheet = Field(
        Datasheet.model_validate({}), description="what a reader must know of it before use"
    )
    audit: Audit = Field(Audit.model_validate({}), description="what its audit may find and still pass")
    folder: Path = Field(exclude=True, description="where the recipe stands; not a key of the file")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        faults = _class_faults(self.labels)
        names = [rule.name for rule in self.rules]
        faults += [f"rules: {name} stands twice" for name in sorted(set(names)) if names.count(name) > 1]
        if not any(isinstance(rule, LabelledRule) for rule in self.rules):
            faults.append("rules: none of kind `labelled`, so images of no class would be kept")
        counted = {"expect." + part: set(counts) for part, counts in self.expect.items()}
        for part in ("test", "validation"):
            declared = getattr(self.split, part)
            if declared is not None and declared.count is not None:
                counted[f"split.{part}.count"] = set(declared.count)
        if self.baseline is not None:
            counted |= {f"baseline.{key}": named for key, named in self.baseline.classes_by_key().items()}
        for key, classes in counted.items():
            faults += [f"{key}: {name!r} is no class" for name in sorted(classes - set(self.labels))]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def classes(self) -> list[str]:
        """The classes in the order of their numbers."""
        return list(self.labels)


def _class_faults(names: Iterable[str]) -> list[str]:
    """Name the classes that could not be a folder's name on every system and a cell of a Markdown table."""
    faults = []
    folded: dict[str, str] = {}
    for name in names:
        if len(name) > _LONGEST_CLASS:
            faults.append(f"labels: {name!r} is longer than {_LONGEST_CLASS} characters")
        elif not _is_class_name(name):
            faults.append(
                f"labels: {name!r} cannot name a class, for folders and tables bear its name: it begins with "
                "a letter or digit, goes on with letters, digits, single spaces and - _ + . ( ), ends with "
                "no dot or space, and is no word that Windows keeps for itself"
            )
        # Some file systems fold case, some decompose letters with accents; so do the folders' names there.
        twin = folded.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if twin != name:
            faults.append(
                f"labels: {twin!r} and {name!r} differ in case alone, or not to the eye; some file systems "
                "take them for one folder"
            )
    return faults


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
    """Return the names of the recipes that are shipped."""
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
        There is no such recipe, or its declaration has faults.
    """
    path = Path(name) if name.endswith(".toml") else CATALOG / "recipes" / f"{name}.toml"
    if not name.endswith(".toml") and not path.is_file():
        raise DeclarationError(
            f"no recipe is called {name!r}",
            expected=f"one of {', '.join(recipe_names())}, or the path of a .toml file",
        )
    return read_toml(path, Recipe, folder=path.parent.resolve())
