"""A record's metadata as InvenioRDM wants it, from the Croissant description of the release."""

from __future__ import annotations

import html
import re
from typing import Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json
from cxrbuild.publishing.release import Release

_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
_SPDX = re.compile(r"https?://spdx\.org/licenses/([\w.+-]+?)(?:\.html|\.json)?/?")
_CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/([\d.]+)/?.*"
)


def record_metadata(release: Release) -> dict[str, Any]:
    """Return a record's metadata.

    The fields are those of InvenioRDM's metadata reference, https://inveniordm.docs.cern.ch/reference/metadata/.

    Raises
    ------
    CxrbuildError
        The description lacks what a record must have.
    """
    path = release.folder / "croissant.json"
    if not path.is_file():
        raise CxrbuildError(
            "missing", where=path, todo="A deposit takes its metadata from there; release anew"
        )
    croissant = read_json(path)
    needed = ("description", "creator", "datePublished")
    if lacking := [key for key in needed if not croissant.get(key)]:
        raise CxrbuildError("lacks what a deposit must have", where=path, found=f"no {', '.join(lacking)}")
    return {
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
        "subjects": [{"subject": word} for word in _listed(croissant.get("keywords"))],
        "publisher": "Zenodo",
    }


def _paragraphs(text: str) -> str:
    parts = re.split(r"\n\s*\n", text.strip())
    return "".join(f"<p>{html.escape(' '.join(part.split()))}</p>" for part in parts)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _creator(creator: Any) -> dict[str, Any]:
    if isinstance(creator, str):
        creator = {"name": creator}
    name = creator.get("name") or f"{creator.get('givenName', '')} {creator.get('familyName', '')}".strip()
    if creator.get("@type", "Organization").rpartition("/")[2].rpartition(":")[2] != "Person":
        return {"person_or_org": {"type": "organizational", "name": name}}
    given, _, family = name.rpartition(" ")
    person: dict[str, Any] = {
        "type": "personal",
        "given_name": creator.get("givenName", given),
        "family_name": creator.get("familyName", family),
    }
    identifiers = " ".join(str(creator.get(key, "")) for key in ("@id", "identifier", "url", "sameAs"))
    if orcid := _ORCID.search(identifiers):
        person["identifiers"] = [{"scheme": "orcid", "identifier": orcid[0]}]
    places = [
        place if isinstance(place, str) else place.get("name")
        for place in _listed(creator.get("affiliation"))
    ]
    return {"person_or_org": person} | (
        {"affiliations": [{"name": place} for place in places]} if places else {}
    )


def _right(license_: Any) -> dict[str, Any]:
    """Return a licence by its id in the service's vocabulary, SPDX's in lower case, else by its words."""
    text = license_ if isinstance(license_, str) else str(license_.get("url") or license_.get("name"))
    if match := _SPDX.fullmatch(text):
        return {"id": match[1].lower()}
    if match := _CREATIVE_COMMONS.fullmatch(text):
        kind = {"zero": "cc0", "mark": "pddc"}.get(match[1], f"cc-{match[1]}")
        return {"id": f"{kind}-{match[2]}"}
    link = {"link": text} if re.match(r"https?://", text) else {}
    return {"title": {"en": text}} | link
