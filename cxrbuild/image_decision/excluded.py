"""List the excluded images of a build, a release or a plan, each with what decided it."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from cxrbuild.artifact import Artifact
from cxrbuild.catalog.rule import Rule
from cxrbuild.errors import CxrbuildError, count_of, name_some, nearest
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.notebook import result_html
from cxrbuild.policy import unlisted_sources
from cxrbuild.reasons import looked_at

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExcludedImage:
    """An excluded image.

    Attributes
    ----------
    image_id, source, source_path
        The image.
    exclusion
        The rule or other step that excludes it.
    column, value
        The column of the table that the rule looks at, ``None`` where it looks at none, and its value,
        ``None`` where it is blank.
    detail, note
        The ledger's ``exclusion_detail`` and ``exclusion_note``, such as the mark and the note of a reviewer;
        ``None`` where there is none.
    """

    image_id: str
    source: str
    source_path: str | None
    exclusion: str
    column: str | None
    value: str | None
    detail: str | None
    note: str | None


@dataclass(frozen=True)
class ExcludedImages:
    """The excluded images of a build, a release or a plan.

    Attributes
    ----------
    folder
        Where it is.
    dataset
        Its name and version.
    listed
        The number of images that its ledger lists, kept and excluded.
    reasons
        Each exclusion that images have, in the order of the flow chart, with its meaning.
    unlisted
        The sources whose excluded images a public release does not list.
    images
        The images, by exclusion in that order, then by image id.
    """

    folder: str
    dataset: str
    listed: int
    reasons: dict[str, str]
    unlisted: list[str]
    images: list[ExcludedImage]

    def of(self, exclusion: str) -> list[ExcludedImage]:
        """Return the images that have an exclusion."""
        return [image for image in self.images if image.exclusion == exclusion]

    def to_dict(self) -> dict[str, Any]:
        """Return the images as JSON has them."""
        return asdict(self)

    def _repr_html_(self) -> str:
        unlisted = f"Not listed: those of {', '.join(self.unlisted)}." if self.unlisted else ""
        return result_html(
            f"{self.dataset}: {len(self.images):,} of {count_of(self.listed, 'image')} excluded",
            [unlisted],
            ["exclusion", "images", "meaning"],
            [[code, len(self.of(code)), meaning] for code, meaning in self.reasons.items()],
        )


def find_excluded(artifact: Artifact, rule: str | None = None) -> ExcludedImages:
    """List the excluded images, each with the value that decided.

    Parameters
    ----------
    artifact
        A build, a release or a plan.
    rule
        The name of a rule, or another value of ``exclusion``; ``None``: all.

    Raises
    ------
    CxrbuildError
        There is no such rule or exclusion.
    """
    import pandas as pd

    recipe, ledger = artifact.document.recipe, artifact.ledger
    meanings = exclusion_reasons(recipe.rules)
    found = ledger[ledger["exclusion"].notna()]
    # Those of another version of the program are at the end.
    meanings |= dict.fromkeys(sorted(set(found["exclusion"]) - set(meanings)), "")
    if rule is not None:
        if rule not in meanings:
            raise CxrbuildError(
                "no rule or other exclusion has this name", where=artifact.folder,
                expected=f"one of {name_some(meanings, 30)}", found=rule,
                todo=f"Write {near}, the nearest name" if (near := nearest(rule, meanings))
                else "Name one of these, or omit the rule to list all",
            )  # fmt: skip
        found = found[found["exclusion"] == rule]
    columns = _columns(recipe.rules)
    images = []
    order = {code: i for i, code in enumerate(meanings)}
    for row in found.sort_values("image_id").to_dict("records"):
        text = {str(key): None if pd.isna(value) else _text(value) for key, value in row.items()}
        column = columns.get(str(text["exclusion"]))
        images.append(
            ExcludedImage(
                image_id=str(text["image_id"]),
                source=str(text["source"]),
                source_path=text["source_path"],
                exclusion=str(text["exclusion"]),
                column=column,
                value=None if column is None else text.get(column),
                detail=text["exclusion_detail"],
                note=text["exclusion_note"],
            )
        )
    images.sort(key=lambda image: order[image.exclusion])
    _logger.info("read %d rows of %s: %d are listed", len(ledger), artifact.folder, len(images))
    return ExcludedImages(
        folder=str(artifact.folder),
        dataset=f"{artifact.name} {artifact.version}",
        listed=len(ledger),
        reasons={code: meanings[code] for code in dict.fromkeys(image.exclusion for image in images)},
        unlisted=sorted(unlisted_sources(artifact.document)),
        images=images,
    )


def _columns(rules: list[Rule]) -> dict[str, str | None]:
    """Return the column that decides each exclusion."""
    return {"ambiguous_finding": "finding"} | {rule.name: looked_at(rule) for rule in rules}


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
