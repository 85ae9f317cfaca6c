"""Who made a release, what it was made from, and how it may be used: in the terms of schema.org and PROV.

The entities are nested, as Croissant has them; the RO-Crate has the same ones in a flat list.
"""

from __future__ import annotations

from typing import Any

from cxrbuild.artifact.build import SourceDescription
from cxrbuild.catalog.credit import Funding, Organization, Person, RelatedWork, UsageCondition
from cxrbuild.catalog.datasheet import NOT_STATED
from cxrbuild.catalog.license import read_licenses
from cxrbuild.contents import Contents

Entity = dict[str, Any]

_HOMEPAGE = "https://github.com/cxrbuild/cxrbuild"
_DUO = "http://purl.obolibrary.org/obo/"
# https://github.com/EBISPOT/DUO/blob/master/duo.csv
_NON_COMMERCIAL = UsageCondition(name="non-commercial use only", term="DUO_0000046")


def creators(contents: Contents) -> list[Entity]:
    """Return the persons who made the dataset, then the organization or group."""
    sheet = contents.recipe.datasheet
    persons = [_person(person) for person in sheet.persons]
    if persons and sheet.creator == NOT_STATED:
        return persons
    return [*persons, {"@type": "Organization", "name": sheet.creator}]


def grants(contents: Contents) -> list[Entity]:
    """Return who paid for the dataset."""
    return [_grant(funding) for funding in contents.recipe.datasheet.funding]


def related_works(contents: Contents) -> list[Entity]:
    """Return the works that belong to the dataset."""
    return [_work(work) for work in contents.recipe.datasheet.related]


def usage_conditions(contents: Contents) -> list[Entity]:
    """Return the conditions of use: those of the datasheet, and what the licences of the pixels forbid."""
    known = read_licenses()
    licenses = (known.get(name) for name in set(contents.embedded["license"]))
    conditions = list(contents.recipe.datasheet.usage)
    if any(one is not None and "no commercial use" in one.conditions for one in licenses):
        conditions += [_NON_COMMERCIAL] if _NON_COMMERCIAL.term not in [c.term for c in conditions] else []
    return [_condition(condition) for condition in conditions]


def derived_from(contents: Contents) -> list[Entity]:
    """Return the sources that images of the dataset are from, with the version of each."""
    used = set(contents.kept["source"])
    return [_source(name, source) for name, source in contents.sources.items() if name in used]


def software(contents: Contents) -> Entity:
    """Return the program that made the release."""
    version = contents.document.packaging.cxrbuild
    return {"@type": "SoftwareApplication", "name": "cxrbuild", "version": version, "url": _HOMEPAGE}


def _organization(organization: Organization) -> Entity:
    entity: Entity = {"@type": "Organization", "name": organization.name}
    return entity | ({"@id": organization.ror, "url": organization.ror} if organization.ror else {})


def _person(person: Person) -> Entity:
    entity: Entity = {
        "@type": "Person", "name": person.name, "givenName": person.given_name,
        "familyName": person.family_name,
    }  # fmt: skip
    if person.orcid_address:
        entity |= {"@id": person.orcid_address, "url": person.orcid_address}
    if person.affiliations:
        entity["affiliation"] = [_organization(one) for one in person.affiliations]
    return entity


def _grant(funding: Funding) -> Entity:
    named = {"name": funding.title, "identifier": funding.number, "url": funding.address}
    entity: Entity = {"@type": "Grant", **{key: value for key, value in named.items() if value}}
    return entity | {"funder": _organization(funding.funder)}


def _work(work: RelatedWork) -> Entity:
    # The relation is DataCite's; schema.org has no property for most of them.
    return {
        "@type": "CreativeWork", "@id": work.address, "url": work.address,
        "name": work.title or work.identifier, "description": f"This dataset {work.relation} it.",
    }  # fmt: skip


def _condition(condition: UsageCondition) -> Entity:
    address = condition.address or (_DUO + condition.term if condition.term else None)
    named = {"termCode": condition.term, "url": address}
    entity: Entity = {"@type": "DefinedTerm", "name": condition.name}
    return entity | {key: value for key, value in named.items() if value}


def _source(name: str, source: SourceDescription) -> Entity:
    pin = source.pin
    version = pin.commit or pin.tree or (f"sha256:{pin.sha256}" if pin.sha256 else None)
    licence = f"https://spdx.org/licenses/{source.license}"
    entity: Entity = {"@type": "CreativeWork", "@id": source.homepage or f"urn:dataset:{name}"}
    entity |= {"name": source.title, "description": source.description.strip() or source.title}
    if version:
        entity["version"] = version
    if source.license != "unknown" and not source.license.startswith("LicenseRef-"):
        entity["license"] = licence
    return entity
