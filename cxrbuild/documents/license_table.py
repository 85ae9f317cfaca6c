"""The licences of a release's images, with their conditions, and whom they are from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.catalog.license import License, read_licenses
from cxrbuild.contents import Contents
from cxrbuild.errors import count_of

if TYPE_CHECKING:
    import pandas as pd


# What is said of the conditions of a licence that is not known, and of one without redistribution.
UNKNOWN, FORBIDDEN = "not known", "does not allow copies"


@dataclass(frozen=True)
class LicenseRow:
    """A licence of some images.

    Attributes
    ----------
    name
        Its SPDX identifier, or ``unknown``.
    images, embedded
        The number of images, and of those whose pixels are in the release.
    conditions
        What it asks for, in words.
    """

    name: str
    images: int
    embedded: int
    conditions: str


def list_licenses(rows: pd.DataFrame, embedded: pd.DataFrame) -> list[LicenseRow]:
    """Return the licences of the images, that of most images first.

    Parameters
    ----------
    rows, embedded
        The images, and those of them whose pixels are there: ``license``.
    """
    known = read_licenses()
    count, with_pixels = rows["license"].value_counts(), embedded["license"].value_counts()
    return [
        LicenseRow(
            str(name), int(images), int(with_pixels.get(name, 0)), _describe_conditions(known.get(str(name)))
        )
        for name, images in sorted(count.items(), key=lambda pair: (-pair[1], str(pair[0])))
    ]


def _describe_conditions(licence: License | None) -> str:
    if licence is None:
        return UNKNOWN
    if not licence.redistribution:
        return FORBIDDEN
    conditions = [*licence.conditions, *([] if licence.adaptation else ["no adaptations"])]
    return ", ".join(conditions) or "none"


def attributions(contents: Contents) -> pd.Series:
    """Return the author or DOI of each image, else the homepage of its source, null where none is stated."""
    kept = contents.kept
    homepages = {name: source.homepage for name, source in contents.sources.items()}
    return kept["attribution"].fillna(kept["source"].map(homepages))


def describe_attribution(contents: Contents) -> str:
    """Return a sentence on what ``ATTRIBUTION.csv`` has of each image."""
    stated = attributions(contents).notna()
    if stated.all():
        return "`ATTRIBUTION.csv` has the author or DOI of each."
    if not stated.any():
        return "The sources state no author or DOI of an image."
    return (
        f"`ATTRIBUTION.csv` has the author or DOI of {int(stated.sum()):,} of "
        f"{count_of(len(stated), 'image')}; the sources state none of the others."
    )
