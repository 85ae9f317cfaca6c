"""Describe a record for InvenioRDM, from the Croissant description of the release."""

from __future__ import annotations

import html
import re
from typing import Any, TypedDict

from cxrbuild.artifact import names
from cxrbuild.catalog.credit import Funding, RelatedWork
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json
from cxrbuild.publishing.release import OutgoingRelease

_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
_SPDX = re.compile(r"https?://spdx\.org/licenses/([\w.+-]+?)(?:\.html|\.json)?/?")
_CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/([\d.]+)/?.*"
)


class Id(TypedDict):
    """An entry of one of the service's vocabularies."""

    id: str


class Name(TypedDict):
    """The name of an affiliation."""

    name: str


class Identifier(TypedDict):
    """An identifier of a person, such as an ORCID."""

    scheme: str
    identifier: str


class PersonOrOrganization(TypedDict, total=False):
    """A person with two names, or an organization with one."""

    type: str
    name: str
    given_name: str
    family_name: str
    identifiers: list[Identifier]


class Creator(TypedDict, total=False):
    """A creator and its affiliations."""

    person_or_org: PersonOrOrganization
    affiliations: list[Name]


class AdditionalDescription(TypedDict):
    """A further description, in HTML."""

    description: str
    type: Id


class Right(TypedDict, total=False):
    """A licence: an id of the service's vocabulary, or a title with a link."""

    id: str
    title: dict[str, str]
    link: str


class Subject(TypedDict):
    """A keyword."""

    subject: str


class Award(TypedDict, total=False):
    """A grant: title and number, since the service knows only some grants by an id."""

    title: dict[str, str]
    number: str
    identifiers: list[Identifier]


class FundingReference(TypedDict, total=False):
    """Who paid, and the grant."""

    funder: Name
    award: Award


class RelatedIdentifier(TypedDict):
    """A related work, and DataCite's relation to it."""

    identifier: str
    scheme: str
    relation_type: Id


class RecordMetadata(TypedDict, total=False):
    """A record's metadata.

    The fields are those of InvenioRDM's metadata reference, https://inveniordm.docs.cern.ch/reference/metadata/.
    """

    resource_type: Id
    title: str
    version: str
    publication_date: str
    creators: list[Creator]
    description: str
    additional_descriptions: list[AdditionalDescription]
    rights: list[Right]
    subjects: list[Subject]
    funding: list[FundingReference]
    related_identifiers: list[RelatedIdentifier]
    publisher: str


def record_metadata(release: OutgoingRelease, publisher: str) -> RecordMetadata:
    """Return a record's metadata.

    Parameters
    ----------
    release
        The release; its ``croissant.json`` has the metadata, its datasheet funding and related works.
    publisher
        The name of the service that publishes the record.

    Raises
    ------
    CxrbuildError
        The release has no description, or the description lacks required fields.
    """
    path = release.folder / names.CROISSANT
    if not path.is_file():
        raise CxrbuildError(
            "the description of the release is missing", where=path, todo="Make the release again"
        )
    croissant = read_json(path)
    needed = ("description", "creator", "datePublished")
    if lacking := [key for key in needed if not croissant.get(key)]:
        raise CxrbuildError(
            "fields that a deposit requires are missing",
            where=path,
            found=f"no {', '.join(lacking)}",
            todo="Write them into `[datasheet]` and the recipe's `date`, and make the release again",
        )
    metadata: RecordMetadata = {
        "resource_type": {"id": "dataset"},
        "title": release.title,
        "version": release.version,
        "publication_date": croissant["datePublished"][:10],
        "creators": [_creator(creator) for creator in _listed(croissant["creator"])],
        "description": _paragraphs(croissant["description"]),
        "additional_descriptions": [
            {"description": _paragraphs(text), "type": {"id": "notes"}}
            for text in _listed(croissant.get("citeAs"))
        ],
        "rights": [_right(license_) for license_ in _listed(croissant.get("license"))],
        "subjects": [{"subject": keyword} for keyword in _listed(croissant.get("keywords"))],
        "publisher": publisher,
    }
    if release.datasheet.funding:
        metadata["funding"] = [_funding(funding) for funding in release.datasheet.funding]
    if release.datasheet.related:
        metadata["related_identifiers"] = [_related(work) for work in release.datasheet.related]
    return metadata


def _paragraphs(text: str) -> str:
    parts = re.split(r"\n\s*\n", text.strip())
    return "".join(f"<p>{html.escape(' '.join(part.split()))}</p>" for part in parts)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _creator(creator: Any) -> Creator:
    if isinstance(creator, str):
        creator = {"name": creator}
    name = creator.get("name") or f"{creator.get('givenName', '')} {creator.get('familyName', '')}".strip()
    if creator.get("@type", "Organization").rpartition("/")[2].rpartition(":")[2] != "Person":
        return {"person_or_org": {"type": "organizational", "name": name}}
    given, _, family = name.rpartition(" ")
    person: PersonOrOrganization = {
        "type": "personal",
        "given_name": creator.get("givenName", given),
        "family_name": creator.get("familyName", family),
    }
    identifiers = " ".join(str(creator.get(key, "")) for key in ("@id", "identifier", "url", "sameAs"))
    if orcid := _ORCID.search(identifiers):
        person["identifiers"] = [{"scheme": "orcid", "identifier": orcid[0]}]
    affiliations = [
        affiliation if isinstance(affiliation, str) else affiliation.get("name")
        for affiliation in _listed(creator.get("affiliation"))
    ]
    described: Creator = {"person_or_org": person}
    if affiliations:
        described["affiliations"] = [{"name": name} for name in affiliations]
    return described


def _funding(funding: Funding) -> FundingReference:
    reference: FundingReference = {"funder": {"name": funding.funder.name}}
    # The service requires a title and a number.
    if funding.title or funding.number:
        known = funding.title or funding.number or ""
        award: Award = {"title": {"en": known}, "number": funding.number or known}
        if funding.address:
            award["identifiers"] = [{"scheme": "url", "identifier": funding.address}]
        reference["award"] = award
    return reference


def _related(work: RelatedWork) -> RelatedIdentifier:
    # The ids of the service's vocabulary are DataCite's relation types in lower case.
    relation = work.relation.replace(" ", "")
    value = f"arXiv:{work.value}" if work.scheme == "arxiv" else work.value
    return {"identifier": value, "scheme": work.scheme, "relation_type": {"id": relation}}


def _right(license_: Any) -> Right:
    """Return a licence by its id in the service's vocabulary, SPDX's in lower case, else by its title."""
    text = license_ if isinstance(license_, str) else str(license_.get("url") or license_.get("name"))
    if match := _SPDX.fullmatch(text):
        return {"id": match[1].lower()}
    if match := _CREATIVE_COMMONS.fullmatch(text):
        kind = {"zero": "cc0", "mark": "pddc"}.get(match[1], f"cc-{match[1]}")
        return {"id": f"{kind}-{match[2]}"}
    right: Right = {"title": {"en": text}}
    if re.match(r"https?://", text):
        right["link"] = text
    return right
