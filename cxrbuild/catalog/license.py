"""What each licence allows a release to do with an image, from ``licenses.toml``."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field

from cxrbuild.catalog.declarations import CATALOG, Declaration, read_toml

UNKNOWN = "unknown"


class License(Declaration):
    """What a licence allows, with the place where it states this."""

    title: str = Field(description="its full name")
    redistribution: bool = Field(strict=True, description="whether copies may be passed on")
    adaptation: bool = Field(strict=True, description="whether changed copies may be passed on")
    conditions: list[Literal["attribution", "share alike", "no commercial use", "state changes"]] = Field(
        description="its conditions"
    )
    source: str = Field(description="address of the text that states this")


class _Licenses(Declaration):
    licenses: dict[str, License] = Field(description="by SPDX identifier or LicenseRef")


@cache
def read_licenses() -> dict[str, License]:
    """Return the table of licences by SPDX identifier, or by LicenseRef where SPDX has none.

    Raises
    ------
    DeclarationError
        The table has problems.
    """
    return read_toml(CATALOG / "licenses.toml", _Licenses).licenses
