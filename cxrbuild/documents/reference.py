"""Read what a declaration asks to cite into the fields of a reference of ``CITATION.cff``."""

from __future__ import annotations

import re
from typing import NotRequired, TypedDict

from cxrbuild.catalog.credit import UNKNOWN

# The keys are those of ``CITATION.cff``. A person has names, an entity has one name.
Author = TypedDict(
    "Author",
    {
        "family-names": NotRequired[str],
        "given-names": NotRequired[str],
        "orcid": NotRequired[str],
        "affiliation": NotRequired[str],
        "name": NotRequired[str],
    },
)


class Reference(TypedDict):
    """A work that is cited, as ``CITATION.cff`` has it."""

    type: str
    authors: list[Author]
    title: str
    year: NotRequired[int]
    version: NotRequired[str]
    doi: NotRequired[str]
    url: NotRequired[str]
    notes: NotRequired[str]


_YEAR = r", (?P<year>(?:19|20)\d\d)"
# What follows the authors. A DOI follows a journal, and arXiv is one: the title before it is then the same
# work's.
_FORMS = [
    re.compile(
        rf"(?P<title>.+?[.?!]) (?P<journal>.+){_YEAR}, (?:doi: ?|https://doi\.org/)(?P<doi>10\.\d+/\S+)", re.I
    ),
    re.compile(rf"(?P<title>.+?[.?!]) arXiv[: ](?P<arxiv>\d{{4}}\.\d{{4,5}})(?:v\d+)?{_YEAR}", re.I),
    re.compile(rf"(?P<title>.+?)(?:(?<=[.?!]) (?P<journal>.+))?{_YEAR}(?:, (?P<url>https?://\S+))?", re.I),
]
_IDENTIFIER = re.compile(r"\bdoi:|\b10\.\d{4,9}/|\barXiv[: ]\d|https?://", re.I)
# A text that names the work which another one is made from can have that work's identifier.
_OF_ANOTHER = re.compile(
    r"\b(?:derived|adapted|modified|taken|made|selected) from\b|\bbased on\b"
    r"|\b(?:variant|subset|extension|copy) of\b",
    re.I,
)
# A family name as citations have it: one word, with particles in lower case before it.
_FAMILY = re.compile(r"(?:[a-z']+ )*[^\W\d_][\w'.-]*")
OTHERS = "et al."


def reference_of(citation: str) -> Reference:
    """Return the reference of a citation, in fields where it has the form that declarations.md describes.

    A text with an identifier in any other form is one title, so that no identifier comes to the names and
    the title of another work.

    Examples
    --------
    >>> reference_of("Zhong, Doe et al.: A title. arXiv 2007.09695, 2020")["authors"]
    [{'family-names': 'Zhong'}, {'family-names': 'Doe'}, {'name': 'et al.'}]
    >>> reference_of("World Health Organization: Images")
    {'type': 'generic', 'authors': [{'name': 'World Health Organization'}], 'title': 'Images'}
    >>> reference_of("Doe: Images, 2026, derived from Zhong, arXiv 2007.09695")["title"]
    'Doe: Images, 2026, derived from Zhong, arXiv 2007.09695'
    """
    authors, colon, text = citation.strip().removesuffix(".").partition(": ")
    found = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    fields = found.groupdict() if found else {"title": text}
    words = f"{fields['title']} {fields.get('journal') or ''}"
    of_another = _IDENTIFIER.search(text) and _OF_ANOTHER.search(text)
    if not colon or _IDENTIFIER.search(words) or of_another:
        return {"type": "generic", "authors": [{"name": UNKNOWN}], "title": citation.strip()}
    reference: Reference = {
        "type": "generic",
        "authors": authors_of(authors),
        "title": fields["title"].removesuffix("."),
    }
    if found:
        reference["year"] = int(fields["year"])
    if number := fields.get("arxiv"):
        # The DOI that arXiv registers for each of its papers.
        fields |= {"doi": f"10.48550/arXiv.{number}", "url": f"https://arxiv.org/abs/{number}"}
    if fields.get("doi"):
        reference["doi"] = fields["doi"]
    if fields.get("url"):
        reference["url"] = fields["url"]
    if fields.get("journal"):
        reference["notes"] = fields["journal"]
    return reference


def authors_of(text: str) -> list[Author]:
    """Return persons where all names are family names, else one entity with the whole text."""
    others = text.endswith(f" {OTHERS}")
    names = text.removesuffix(OTHERS).strip(" ,").split(", ")
    if text == UNKNOWN or not all(_FAMILY.fullmatch(name) for name in names):
        return [{"name": text}]
    authors: list[Author] = [{"family-names": name} for name in names]
    return [*authors, {"name": OTHERS}] if others else authors
