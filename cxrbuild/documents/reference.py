"""Read what a declaration says to cite into the fields of a reference of ``CITATION.cff``."""

from __future__ import annotations

import re
from typing import Any

_URL = re.compile(r"https?://\S+")
_DOI = re.compile(r"(?:doi:|https://doi\.org/)\s*(10\.\d{4,9}/\S+)", re.IGNORECASE)
_ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})(?:v\d+)?", re.IGNORECASE)
_YEAR = re.compile(r"(?<=, )(?:19|20)\d\d(?=$|[,. ])")
# A family name as citations have it: one word, with particles in lower case before it.
_FAMILY = re.compile(r"(?:[a-z']+ )*[^\W\d_][\w'.-]*")
_OTHERS = "et al."


def reference_of(citation: str) -> dict[str, Any]:
    """Return the reference of a citation such as ``Family, Family: title. Journal 1, 2020, doi:10...``.

    What is not recognized stays in ``title``, or in ``notes`` after it: nothing is lost or guessed.

    Examples
    --------
    >>> reference_of("Zhong, Doe et al.: A title. arXiv 2007.09695, 2020")["authors"]
    [{'family-names': 'Zhong'}, {'family-names': 'Doe'}, {'name': 'et al.'}]
    >>> reference_of("World Health Organization: Images")
    {'type': 'generic', 'authors': [{'name': 'World Health Organization'}], 'title': 'Images'}
    """
    authors, colon, text = citation.partition(": ")
    if not colon:
        authors, text = "unknown", citation
    fields, text = _fields(text)
    title, notes = text, ""
    if fields and (end := re.search(r"[.?!] ", text)):
        title, notes = text[: end.end()].strip().removesuffix("."), text[end.end() :]
    reference: dict[str, Any] = {
        "type": "generic",
        "authors": _authors(authors),
        "title": title.strip(" ,."),
        **fields,
    }
    if notes := notes.strip(" ,."):
        reference["notes"] = notes
    return reference


def _fields(text: str) -> tuple[dict[str, Any], str]:
    """Return year, DOI and address, and the text without them."""
    fields: dict[str, Any] = {}
    if found := _YEAR.search(text):
        fields["year"] = int(found[0])
        text = _without(text, found)
    if found := _DOI.search(text):
        fields["doi"] = found[1].rstrip(".,;")
        text = _without(text, found)
    elif found := _ARXIV.search(text):
        # The DOI that arXiv registers for each of its papers.
        fields |= {"doi": f"10.48550/arXiv.{found[1]}", "url": f"https://arxiv.org/abs/{found[1]}"}
        text = _without(text, found)
    if found := _URL.search(text):
        fields["url"] = found[0].rstrip(".,;")
        text = _without(text, found)
    return fields, text


def _without(text: str, found: re.Match[str]) -> str:
    before, after = text[: found.start()].rstrip(" ,"), text[found.end() :].lstrip(" ,")
    return f"{before}, {after}".strip(" ,") if after else before


def _authors(text: str) -> list[dict[str, str]]:
    """Return persons where all names are family names, else one entity with the whole text."""
    others = text.endswith(f" {_OTHERS}")
    names = text.removesuffix(_OTHERS).strip(" ,").split(", ")
    if text == "unknown" or not all(_FAMILY.fullmatch(name) for name in names):
        return [{"name": text}]
    return [*({"family-names": name} for name in names), *([{"name": _OTHERS}] if others else [])]
