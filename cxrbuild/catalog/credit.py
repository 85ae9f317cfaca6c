"""Who made a dataset and who paid for it, which works belong to it, and on which conditions it is used."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from cxrbuild.catalog.declarations import Declaration

# DataCite's relation types (schema 4.6, appendix 1) that a dataset can have, in words.
Relation = Literal[
    "cites", "continues", "documents", "has version", "is cited by", "is continued by", "is derived from",
    "is described by", "is documented by", "is new version of", "is part of", "is previous version of",
    "is referenced by", "is source of", "is supplement to", "is supplemented by", "is version of",
    "obsoletes", "references", "requires",
]  # fmt: skip

UNKNOWN = "unknown"
"""The text for the authors of a work of which none are stated."""

CITATION_FORM = (
    "in the form `AUTHORS: TITLE. JOURNAL, YEAR, doi:DOI`, `AUTHORS: TITLE. arXiv NUMBER, YEAR` or "
    "`AUTHORS: TITLE, YEAR, ADDRESS`. AUTHORS are family names with commas between them, and `et al.`, or "
    "the name of an organization. `CITATION.cff` has another text whole, as a title, without authors, "
    "year and DOI"
)
"""How a `citation` must be written to come into the fields of ``CITATION.cff``."""

_ORCID = re.compile(r"(?:https://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])")
_SCHEMES = {
    "doi": re.compile(r"(?:doi:|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/\S+)", re.IGNORECASE),
    "arxiv": re.compile(r"(?:arxiv:|https?://arxiv\.org/abs/)(\d{4}\.\d{4,5}(?:v\d+)?)", re.IGNORECASE),
    "url": re.compile(r"(https?://\S+)"),
}

Ror = Annotated[str, StringConstraints(pattern=r"^https://ror\.org/0[a-hj-km-np-tv-z0-9]{6}[0-9]{2}$")]
Address = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]


def _orcid(text: str) -> str:
    """Return an ORCID iD without its address; its last character is a check digit (ISO 7064, 11-2)."""
    match = _ORCID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ORCID iD; expected one such as 0000-0002-1825-0097")
    digits = match[1].replace("-", "")
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    if "0123456789X"[(12 - total % 11) % 11] != digits[-1]:
        raise ValueError(f"{text!r} is no ORCID iD: its last character does not fit the others")
    return match[1]


def _identifier(text: str) -> str:
    if not any(pattern.fullmatch(text) for pattern in _SCHEMES.values()):
        raise ValueError(f"{text!r} is no identifier; expected a DOI, arXiv:NUMBER or an address")
    return text


class Organization(Declaration):
    """An organization."""

    name: str = Field(description="its name")
    ror: Ror | None = Field(None, description="its address in the Research Organization Registry")


class Person(Declaration):
    """A person who made the dataset."""

    given_name: str = Field(description="given names")
    family_name: str = Field(description="family name")
    orcid: Annotated[str, AfterValidator(_orcid)] | None = Field(None, description="ORCID iD")
    affiliations: list[Organization] = Field(
        default_factory=list, description="organizations that the person works for"
    )

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.given_name} {self.family_name}"

    @property
    def orcid_address(self) -> str | None:
        """The address of the ORCID iD."""
        return None if self.orcid is None else f"https://orcid.org/{self.orcid}"


class Funding(Declaration):
    """Money that paid for the dataset."""

    funder: Organization = Field(description="who paid")
    number: str | None = Field(None, description="the funder's number of the grant")
    title: str | None = Field(None, description="title of the grant")
    address: Address | None = Field(None, description="address of a page about the grant")


class RelatedWork(Declaration):
    """A work that belongs to the dataset, such as the paper that describes it."""

    relation: Relation = Field(description="DataCite's relation of the dataset to the work, in words")
    identifier: Annotated[str, AfterValidator(_identifier)] = Field(
        description="a DOI, `arXiv:NUMBER`, or an address"
    )
    title: str | None = Field(None, description="its title")
    authors: str = Field(
        UNKNOWN, description="family names of its authors, or an organization's name: `Doe, Roe`"
    )

    @property
    def scheme(self) -> str:
        """Which kind of identifier it has: ``doi``, ``arxiv`` or ``url``."""
        return next(name for name, pattern in _SCHEMES.items() if pattern.fullmatch(self.identifier))

    @property
    def value(self) -> str:
        """The identifier as its scheme writes it, without an address before it."""
        match = _SCHEMES[self.scheme].fullmatch(self.identifier)
        assert match is not None
        return match[1]

    @property
    def address(self) -> str:
        """An address that leads to it."""
        before = {"doi": "https://doi.org/", "arxiv": "https://arxiv.org/abs/", "url": ""}
        return before[self.scheme] + self.value


class UsageCondition(Declaration):
    """A condition of use, such as a term of the Data Use Ontology (DUO)."""

    name: str = Field(description="the condition, such as `general research use`")
    term: Annotated[str, StringConstraints(pattern=r"^DUO_[0-9]{7}$")] | None = Field(
        None, description="term of the Data Use Ontology, such as DUO_0000042"
    )
    address: Address | None = Field(None, description="address of the conditions; default that of the term")
