"""A recipe: sources, classes, rules in order, split, and the counts to expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from cxrbuild.catalog.audit import Audit
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.catalog.class_name import class_name_problems
from cxrbuild.catalog.credit import CITATION_FORM
from cxrbuild.catalog.datasheet import Datasheet
from cxrbuild.catalog.day import Day
from cxrbuild.catalog.declarations import (
    ByWord,
    Declaration,
    Word,
    find_declaration,
    read_toml,
    shipped_names,
)
from cxrbuild.catalog.rule import DuplicateRule, LabelledRule, Rule
from cxrbuild.catalog.source import Name, Source
from cxrbuild.catalog.split import Count, Split
from cxrbuild.errors import DeclarationError, count_of, suggest
from cxrbuild.exclusions import EXCLUSIONS
from cxrbuild.notebook import result_html
from cxrbuild.parsing import parse_toml
from cxrbuild.records import SPLITS

DEFAULT_RECIPE = "covid19-cxr"
# Names that the flow chart uses itself.
_STEPS = ("upstream", "kept", "all")
# The tables that distinguish a recipe from other files.
_TABLES = ("labels", "split")


class Conversion(Declaration):
    """How images become 8-bit one-channel JPEG."""

    quality: int = Field(95, ge=1, le=100, description="JPEG quality, as libjpeg scales it")
    max_pixels: int = Field(
        100_000_000,
        gt=0,
        # Pillow refuses to open larger images, so no reader of the dataset could.
        le=178_956_970,
        description="images with more pixels are excluded; at most 178,956,970, as Pillow opens no more",
    )


class Recipe(Declaration):
    """A dataset, as ``catalog/recipes/*.toml`` or a user's own file declares it."""

    name: Name = Field(description="the dataset's name")
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = Field(
        description="the dataset's version: MAJOR.MINOR.PATCH"
    )
    date: Day | None = Field(None, description="the day of this version, YYYY-MM-DD; its releases show it")
    title: str = Field(description="its full name")
    description: str = Field("", description="what a reader should know about it")
    citation: str | None = Field(
        None,
        description=f"the work that describes this dataset, {CITATION_FORM}. The work that it is derived "
        "from is an entry of `datasheet.related`",
    )
    sources: list[str] = Field(min_length=1, description="shipped sources by name, own ones by path (.toml)")
    reviews: list[str] = Field(default_factory=list, description="review files: shipped by name, own by path")
    corrections: list[str] = Field(
        default_factory=list,
        description="files that correct metadata of single images: shipped by name, own by path",
    )
    labels: ByWord[dict[str, list[Word]]] = Field(
        min_length=1,
        description="for each class, in the order of its number, each source's findings; with a published "
        "split, the list's name and its words for the class. A class's name is "
        "also a folder's name: letters of any script, digits, single spaces and - _ + . ( )",
    )
    optional_findings: dict[str, list[Word]] = Field(
        default_factory=dict, description="for each source, findings in `labels` that it may not have"
    )
    rules: list[Rule] = Field(default_factory=list, description="the rules in order: the first one wins")
    split: Split = Field(description="how the kept images are split")
    conversion: Conversion = Field(Conversion.model_validate({}), description="how images become JPEG")
    expect: dict[str, ByWord[Count]] = Field(
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
    file: Path | None = Field(None, exclude=True, description="the recipe's file; not a key of it")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        problems = [
            *class_name_problems(self.labels),
            *_label_problems(self.labels, self.optional_findings),
            *_rule_problems(self.rules, self.split),
        ]
        counted = {f"expect.{split}": list(counts) for split, counts in self.expect.items()}
        counted |= {f"split.allow_empty.{split}": names for split, names in self.split.allow_empty.items()}
        for split in ("test", "validation"):
            drawn = getattr(self.split, split)
            if drawn is not None and drawn.count is not None:
                counted[f"split.{split}.count"] = list(drawn.count)
        if self.baseline is not None:
            counted |= {
                f"baseline.{key}": list(named) for key, named in self.baseline.classes_by_key().items()
            }
        for key, classes in counted.items():
            problems += [
                f"{key}: {name!r} is no class; {suggest(name, self.labels, 'class')}"
                for name in sorted(set(classes) - set(self.labels))
            ]
        for key, splits in (("expect", self.expect), ("split.allow_empty", self.split.allow_empty)):
            problems += [
                f"{key}: {name!r} is no split; {suggest(name, SPLITS, 'split')}"
                for name in splits
                if name not in SPLITS
            ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def omitted(self) -> set[str]:
        """The keys that a record of it omits: without corrections, builds have the bytes of before them."""
        return set() if self.corrections else {"corrections"}

    @property
    def classes(self) -> list[str]:
        """The classes in the order of their numbers."""
        return list(self.labels)

    def _repr_html_(self) -> str:
        rules = [[rule.name, "yes" if rule.enabled else "off", rule.describe()] for rule in self.rules]
        return result_html(
            f"Recipe {self.name} {self.version}: {self.title}",
            [f"Classes: {', '.join(self.classes)}. Sources: {', '.join(self.sources)}."],
            ["rule", "applied", "what it does"],
            rules,
        )

    def find_empty(self, counts: Mapping[str, Mapping[str, int]]) -> list[str]:
        """Return a message for each class without an image in train or test, unless the recipe allows it.

        The test split counts if the recipe draws one, or a source or a published list declares one. A class
        may be empty by ``split.allow_empty``, or by a count of 0 under ``expect`` or ``split.test.count``.

        Parameters
        ----------
        counts
            Images by split and class.
        """
        if not any(n for of_split in counts.values() for n in of_split.values()):
            return ["no image is kept"]
        drawn = self.split.test
        declared = any("test" in declared.map.values() for declared in self.split.declared)
        if self.split.published is not None:
            declared = "test" in counts or "test" in self.expect
        zero = {"train": {}, "test": (drawn.count if drawn is not None else None) or {}}
        return [
            f"no image of the class {label} is in {split}"
            for split in (["train", "test"] if drawn is not None or declared else ["train"])
            for label in self.classes
            if not counts.get(split, {}).get(label)
            and label not in self.split.allow_empty.get(split, [])
            and self.expect.get(split, {}).get(label) != 0
            and zero[split].get(label) != 0
        ]

    def check_sources(self, sources: Sequence[Source]) -> None:
        """Refuse a recipe whose labels, rules or split do not fit its sources.

        Parameters
        ----------
        sources
            The recipe's sources.

        Raises
        ------
        DeclarationError
            A name in labels, rules or split is no source of the recipe.
        """
        names = [source.name for source in sources]
        problems = [f"sources: two are called {name}" for name in sorted(set(names)) if names.count(name) > 1]
        named: dict[str, list[str]] = {}
        if self.split.published is None:
            named |= {f"labels.{label}": list(findings) for label, findings in self.labels.items()}
        named |= {"optional_findings": list(self.optional_findings)}
        named |= {f"rules.{rule.name}.sources": rule.sources or [] for rule in self.rules}
        named |= {"split.declared": [declared.source for declared in self.split.declared]}
        for key, used in named.items():
            problems += [
                f"{key}: {name!r} is no source of the recipe; {suggest(name, names, 'source')}"
                for name in used
                if name not in names
            ]
        problems += _namespace_problems(sources)
        if problems:
            raise DeclarationError(
                f"{count_of(len(problems), 'problem')} in the recipe {self.name}\n  " + "\n  ".join(problems)
            )


def _label_problems(
    labels: Mapping[str, Mapping[str, list[str]]], optional: Mapping[str, list[str]]
) -> list[str]:
    """Return a message for each finding that does not decide for one class, or that no value can equal."""
    problems = []
    classes: dict[tuple[str, str], str] = {}
    for label, by_source in labels.items():
        if not any(by_source.values()):
            problems.append(f"labels.{label}: no finding, so the class can have no image")
        for source, findings in by_source.items():
            for finding in findings:
                other = classes.setdefault((source, finding), label)
                if other != label:
                    problems.append(
                        f"labels: {finding!r} of {source} is under two classes, {other} and {label}"
                    )
                if finding != finding.strip() or not finding:
                    problems.append(
                        f"labels.{label}.{source}: {finding!r} is no finding: values have no blanks around "
                        "them and are not empty"
                    )
    problems += [
        f"optional_findings.{source}: {finding!r} is not in `labels`; "
        + suggest(finding, [known for of, known in classes if of == source], "finding")
        for source, findings in optional.items()
        for finding in findings
        if (source, finding) not in classes
    ]
    return problems


def _namespace_problems(sources: Sequence[Source]) -> list[str]:
    """Return a message for each namespace whose sources treat numbers differently: none would be equal."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for source in sources:
        kinds.setdefault(source.numbered_by, {}).setdefault(source.reader.patient_id, []).append(source.name)
    return [
        f"patient_namespace: {name} has hashed numbers of {', '.join(of_kind['hash'])} and kept ones of "
        f"{', '.join(of_kind['keep'])}, which cannot be equal; declare one `patient_id` in all their readers"
        for name, of_kind in kinds.items()
        if len(of_kind) > 1
    ]


def _rule_problems(rules: Sequence[Rule], split: Split) -> list[str]:
    names = [rule.name for rule in rules]
    reserved = {*_STEPS, *(exclusion.code for exclusion in EXCLUSIONS)}
    problems = [f"rules: two are called {name}" for name in sorted(set(names)) if names.count(name) > 1]
    problems += [
        f"rules.{name}: the program uses this name itself; choose another"
        for name in names
        if name in reserved
    ]
    # A published list gives every image of it a class, and excludes all others.
    if split.published is None and not any(isinstance(rule, LabelledRule) for rule in rules):
        problems.append("rules: none of kind `labelled`, so images without a class would be kept")
    if not split.links:
        problems += [
            f"rules.{rule.name}: a rule of kind `duplicate` needs link files under `split.links`"
            for rule in rules
            if isinstance(rule, DuplicateRule)
        ]
    declared = [one.source for one in split.declared]
    problems += [
        f"split.declared: two are of the source {source}"
        for source in sorted(set(declared))
        if declared.count(source) > 1
    ]
    return problems


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return shipped_names("recipes")


def recipes_in(folder: Path) -> dict[Path, dict[str, Any]]:
    """Return the recipes in a folder by file, as they are written: one with problems is not refused here."""
    found = {}
    for file in sorted(folder.glob("*.toml")):
        try:
            table = parse_toml(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(table.get("name"), str) and all(isinstance(table.get(key), dict) for key in _TABLES):
            found[file] = table
    return found


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
    path = find_declaration("recipe", "recipes", name, None)
    return read_toml(path, Recipe, folder=path.parent.resolve(), file=path)
