"""Say of one image why it is in a dataset or not: every decision about it, with what decided it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import Artifact, names
from cxrbuild.catalog import Link, Recipe, Source, read_links, read_source, source_names
from cxrbuild.catalog.reader import Inventory
from cxrbuild.catalog.review import MARKS
from cxrbuild.catalog.rule import DuplicateRule, Rule
from cxrbuild.errors import CxrbuildError, nearest
from cxrbuild.exclusions import BEFORE_RULES, exclusion_reasons
from cxrbuild.lockfile import read_lock, source_folder
from cxrbuild.patient_key import hash_identifier, key_fingerprint, read_key
from cxrbuild.progress import silent
from cxrbuild.reasons import label_reasons, looked_at, split_reasons
from cxrbuild.rules import apply_rules

if TYPE_CHECKING:
    import pandas as pd

# What upstream says of an image, in our columns.
_UPSTREAM = (
    "patient_id", "patient_id_text", "finding", "modality", "modality_text", "view_position",
    "view_position_text", "patient_sex", "patient_age", "patient_age_text", "license", "license_text",
    "attribution", "upstream_split",
)  # fmt: skip
_PIN = ("commit", "date", "tree", "sha256", "listing")


@dataclass(frozen=True)
class RuleResult:
    """What a rule of the recipe decided about the image.

    Attributes
    ----------
    rule
        The rule's name.
    sentence
        What it excludes.
    result
        ``excludes``, ``keeps``, ``not asked`` (an earlier step excluded the image, or the rule is for other
        sources) or ``switched off``.
    value
        The value that it looks at, with its column; ``None`` where it looks at no column.
    """

    rule: str
    sentence: str
    result: str
    value: str | None


@dataclass(frozen=True)
class ImageDecision:
    """Why an image is in a dataset or not.

    Attributes
    ----------
    image_id, source, source_path
        The image.
    pin
        The version of its source: what is pinned, and how its files were verified.
    metadata
        The rows of upstream's metadata that name it: the place of each, and its values, without patient
        numbers that are hashed; none where the data folder does not have them.
    metadata_note
        Why there are none; ``None`` where there are.
    upstream
        What the metadata says, in the columns of the table; blank ones are omitted.
    review
        The mark that a reviewer saw, and what it means; ``None`` without a review.
    rules
        What each rule decided, in order.
    kept
        Whether the image is in the dataset.
    exclusion, detail, meaning
        Why not: the exclusion, its detail (with the reviewer's note), and what the exclusion means.
    label, label_reason
        Its class, and what gave it.
    split, split_reason
        Its split, and what decided it.
    fold
        Its fold; ``None`` without folds.
    group, group_images
        The group of linked patients that is split as one, and its other images.
    links
        The declared links of the image: ``duplicate`` or ``same patient``, the other image, and the note.
    duplicates
        The pairs that the audit found, each with the split of the other image; ``None`` where there is no
        audit result, or the image is not in the dataset, whose images alone an audit compares.
    withheld
        Why a release has no pixels of it; ``None`` where it has them.
    """

    image_id: str
    source: str
    source_path: str
    pin: dict[str, str]
    metadata: list[dict[str, Any]]
    metadata_note: str | None
    upstream: dict[str, str]
    review: str | None
    rules: list[RuleResult]
    kept: bool
    exclusion: str | None
    detail: str | None
    meaning: str | None
    label: str | None
    label_reason: str | None
    split: str | None
    split_reason: str | None
    fold: int | None
    group: str | None
    group_images: list[str]
    links: list[str]
    duplicates: list[str] | None
    withheld: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class DecisionResult:
    """The decisions about the images that a name means.

    Attributes
    ----------
    name
        What was asked for.
    folder
        The build or release.
    dataset
        Its name and version.
    images
        The decisions, by image id.
    """

    name: str
    folder: str
    dataset: str
    images: list[ImageDecision] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the decisions as JSON has them."""
        return asdict(self)


def explain_images(
    artifact: Artifact, name: str, *, recipe: Recipe | None = None, data: Path | None = None
) -> DecisionResult:
    """Say why the images that a name means are in a dataset or not.

    Parameters
    ----------
    artifact
        A build or a release.
    name
        An image id, a path within a source, a file name, or a patient.
    recipe
        The recipe with its files, whose link files and sources are read; ``None``: those that are shipped.
    data
        The data folder whose metadata is shown; ``None``: none is.

    Raises
    ------
    CxrbuildError
        No image has the name.
    """
    ledger = artifact.ledger
    found = _find(ledger, name, artifact)
    describe = _Describer(artifact, recipe, data)
    dataset = f"{artifact.name} {artifact.version}"
    images = [describe(row) for _, row in ledger[found].sort_values("image_id").iterrows()]
    return DecisionResult(name, str(artifact.folder), dataset, images)


def _find(ledger: pd.DataFrame, name: str, artifact: Artifact) -> pd.Series:
    """Return the mask of the rows that a name means: the first kind of name that has any."""
    asked = name.strip().casefold()
    path = ledger["source_path"].str.casefold()
    file = path.str.rpartition("/")[2]
    stem = file.str.replace(r"\.[^.]*$", "", regex=True)
    hashed = hash_identifier(read_key(), name.strip()) if key_fingerprint() else name
    number = ledger["patient_id"].astype("str")
    patient = (
        number.str.casefold().eq(asked)
        | number.eq(hashed)
        | ledger["patient_id_text"].astype("str").str.casefold().eq(asked)
        | ledger["group"].astype("str").str.casefold().eq(asked)
    )
    named = ledger["source"] + "/" + path
    for mask in (
        ledger["image_id"].eq(name.strip()), path.eq(asked) | named.eq(asked), file.eq(asked), stem.eq(asked),
        patient,
    ):  # fmt: skip
        if mask.fillna(value=False).any():
            return mask.fillna(value=False).astype("bool")
    known = [*ledger["image_id"], *file.dropna()]
    part = [one for one in known if asked in one.casefold()][:1] if len(asked) > 2 else []
    near = part[0] if part else nearest(name, known[:50_000])
    raise CxrbuildError(
        "no image has this name", where=artifact.folder / names.LEDGER,
        expected="an image id, a path or file name of a source, or a patient", found=name,
        todo=f"Write {near}, the nearest name" if near else "`ledger.parquet` lists every upstream image",
    )  # fmt: skip


class _Describer:
    """Describes rows of a ledger, with what the artefact, the recipe and the data folder say of them."""

    def __init__(self, artifact: Artifact, recipe: Recipe | None, data: Path | None) -> None:
        self._artifact, self._recipe, self._data = artifact, recipe, data
        self._kept = artifact.ledger[artifact.ledger["split"].notna()]
        self._links = list(_read_links(artifact.document.recipe, recipe))
        self._read: dict[str, tuple[pd.DataFrame | None, str | None]] = {}

    def __call__(self, row: pd.Series) -> ImageDecision:
        recipe, ledger = self._artifact.document.recipe, self._artifact.ledger
        one = ledger.loc[[row.name]]
        text = {str(key): _text(value) for key, value in row.items()}
        kept = text["exclusion"] is None
        source, path = str(text["source"]), str(text["source_path"])
        metadata, note = self._metadata(source, path)
        placed = text["split"] is not None
        group = ledger[ledger["group"].eq(row["group"]).fillna(value=False)]
        return ImageDecision(
            image_id=str(text["image_id"]),
            source=source,
            source_path=path,
            pin=self._pin(source),
            metadata=metadata,
            metadata_note=note,
            upstream={column: value for column in _UPSTREAM if (value := text[column]) is not None},
            review=_review(text),
            rules=[_rule_result(rule, one, text, recipe) for rule in recipe.rules],
            kept=kept,
            exclusion=text["exclusion"],
            detail=text["exclusion_detail"],
            meaning=None if kept else exclusion_reasons(recipe.rules).get(str(text["exclusion"])),
            label=text["label"],
            label_reason=None if text["label"] is None else _text(label_reasons(one, recipe)["text"].iloc[0]),
            split=text["split"],
            split_reason=_text(split_reasons(one, recipe, self._kept)["text"].iloc[0]) if placed else None,
            fold=None if text["fold"] is None else int(row["fold"]),
            group=text["group"],
            group_images=sorted(set(group["image_id"]) - {str(text["image_id"])}),
            links=[
                f"{link.kind}: {'/'.join(other)}" + (f" ({link.note})" if link.note else "")
                for link in self._links
                for image, other in ((link.a, link.b), (link.b, link.a))
                if image == (source, path)
            ],
            duplicates=self._duplicates(str(text["image_id"])) if kept else None,
            withheld=text["withheld"],
        )

    def _pin(self, source: str) -> dict[str, str]:
        document = self._artifact.document
        declared, state = document.declared_sources.get(source), document.sources.get(source)
        pin = {} if declared is None else {key: getattr(declared.pin, key) for key in _PIN}
        found = {key: str(value) for key, value in pin.items() if value is not None}
        if state is not None:
            found |= {"verified by": state.proof}
        if source in document.unpinned:
            found |= {"state": "unpinned"}
        return found

    def _duplicates(self, image: str) -> list[str] | None:
        if self._artifact.audit is None:
            return None
        splits = self._kept.set_index("image_id")["split"]
        found = []
        for pair in self._artifact.audit.pairs:
            if image in (pair.a, pair.b):
                other = pair.b if pair.a == image else pair.a
                where = (
                    f"{splits.get(other)}, another split" if "split" in pair.crosses else splits.get(other)
                )
                found.append(f"{pair.kind}: {other} ({where}; similarity {pair.similarity:g})")
        return found

    def _metadata(self, source: str, path: str) -> tuple[list[dict[str, Any]], str | None]:
        """Return the rows of upstream's metadata that name a file, or why there are none."""
        if source not in self._read:
            self._read[source] = self._read_metadata(source)
        values, note = self._read[source]
        if values is None:
            return [], note
        rows = values[values.index.get_level_values("path") == path]
        places = rows.index.get_level_values("place")
        found = [
            {"place": str(place), "values": {str(k): v for k, v in row.items() if v and v == v}}
            for place, row in zip(places, rows.to_dict("records"), strict=True)
        ]
        return found, None if found else "no row of the metadata names it"

    def _read_metadata(self, name: str) -> tuple[pd.DataFrame | None, str | None]:
        source = self._source(name)
        if self._data is None or source is None:
            return None, "no declaration of the source is named" if self._data is not None else None
        reader, root = source.reader, source_folder(self._data, name)
        rows = self._artifact.ledger
        paths = rows.loc[rows["source"] == name, "source_path"]
        files = reader.metadata_files(list(paths))
        if not files or reader.reads_images:
            return None, "the metadata of this source is in the names or headers of its files"
        if not root.is_dir():
            return None, f"{root} is not there"
        recorded, lock = self._artifact.document.sources.get(name), read_lock(self._data).get(name)
        if recorded is not None and (lock is None or lock.tree != recorded.tree):
            return None, f"{root} has another version than the build"
        upstream = dict.fromkeys(paths)
        try:
            values = reader.read(Inventory(root, frozenset(paths), upstream), sorted(paths), silent)
        except CxrbuildError as error:
            return None, error.what
        patient = source.columns.patient_id
        if reader.patient_id == "hash" and patient is not None:
            # What is hashed in the ledger is not shown here either.
            values = values.drop(columns=[name for name in patient.origins if name in values])
        return values, None

    def _source(self, name: str) -> Source | None:
        if self._recipe is not None:
            sources = [read_source(one, self._recipe.folder) for one in self._recipe.sources]
            return next((source for source in sources if source.name == name), None)
        return read_source(name) if name in source_names() else None


def _read_links(recorded: Recipe, recipe: Recipe | None) -> Iterator[Link]:
    """Yield the links of the recipe; without its folder, those of the shipped files that it names."""
    for name in recorded.split.links:
        if recipe is not None or ("/" not in name and not name.endswith(".csv")):
            yield from read_links(name, Path() if recipe is None else recipe.folder)


def _text(value: Any) -> str | None:
    """Return a value of the table as text, null as ``None``."""
    import pandas as pd

    if pd.isna(value):
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _review(text: Mapping[str, str | None]) -> str | None:
    mark = text["review"]
    if mark is None:
        return None
    drawn = {"True": ", drawn at a finding", "False": ", not drawn at a finding"}
    return f"{mark} ({MARKS.get(mark, 'of another version')}){drawn.get(str(text['marks_finding']), '')}"


def _rule_result(rule: Rule, row: pd.DataFrame, text: Mapping[str, str | None], recipe: Recipe) -> RuleResult:
    column = looked_at(rule)
    value = None if column is None else f"{column} {text.get(column) or 'blank'}"
    return RuleResult(rule.name, rule.describe(), _decide(rule, row, text["exclusion"], recipe.rules), value)


def _decide(rule: Rule, row: pd.DataFrame, exclusion: str | None, rules: Sequence[Rule]) -> str:
    if not rule.enabled:
        return "switched off"
    if rule.name == exclusion:
        return "excludes"
    order = [one.name for one in rules]
    after_rules = {"missing_file", "not_in_source"}
    if rule.sources is not None and row["source"].iloc[0] not in rule.sources:
        return "not asked"
    if exclusion in order:
        return "keeps" if order.index(rule.name) < order.index(exclusion) else "not asked"
    if exclusion in BEFORE_RULES:
        return "not asked"
    if exclusion is None or exclusion in after_rules or isinstance(rule, DuplicateRule):
        return "keeps"
    # An exclusion of the conversion, which comes after all rules, or of another version of the program.
    alone = apply_rules(row.assign(exclusion=None), [rule])
    return "not asked" if alone["exclusion"].notna().any() else "keeps"
