"""What each licence lets a release do with an image, as ``licenses.toml`` declares it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cxrbuild.catalog.declarations import Declaration, read_toml
from cxrbuild.catalog.source import CATALOG

UNKNOWN = "unknown"


class License(Declaration):
    """What a licence allows, and where it says so."""

    title: str = Field(description="its full name")
    redistribution: bool = Field(description="whether copies may be passed on")
    adaptation: bool = Field(description="whether what is passed on may be changed")
    conditions: list[Literal["attribution", "share alike", "no commercial use", "state changes"]] = Field(
        description="what it asks in return"
    )
    source: str = Field(description="where it says so")


class _Licenses(Declaration):
    licenses: dict[str, License] = Field(description="by SPDX identifier or LicenseRef")


def read_licenses() -> dict[str, License]:
    """Return the table of licences by SPDX identifier, or LicenseRef where SPDX has none.

    Raises
    ------
    DeclarationError
        The table has faults.
    """
    return read_toml(CATALOG / "licenses.toml", _Licenses).licenses
