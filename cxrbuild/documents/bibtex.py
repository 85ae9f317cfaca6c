"""Write the works that a release's ``CITATION.cff`` names as BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NotRequired, TypedDict

from cxrbuild.catalog.credit import UNKNOWN
from cxrbuild.catalog.datasheet import NOT_STATED
from cxrbuild.documents.reference import OTHERS, Author, Reference

# What TeX reads as a command.
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_JOURNAL = re.compile(
    r"(?P<journal>.+?) (?P<volume>\d+)(?:\((?P<number>[^()]+)\))?(?:, (?P<pages>[\w-]+))?", re.ASCII
)
_ARXIV = re.compile(r"https://arxiv\.org/abs/(\S+)")
# Words at the start of a title that name nothing.
_WORD = re.compile(r"\b(?!(?:an?|the|on|can|using)\b)[a-z]{2,}", re.IGNORECASE)


# The content of ``CITATION.cff``.
Citation = TypedDict(
    "Citation",
    {
        "cff-version": str,
        "message": str,
        "type": str,
        "title": str,
        "version": str,
        "date-released": str,
        "authors": list[Author],
        "references": list[Reference],
        "keywords": NotRequired[list[str]],
        "url": NotRequired[str],
    },
)


def bibtex(cited: Citation, name: str, *, note: str = "") -> str:
    """Return ``CITATION.bib``: an entry for the dataset, and one for each reference.

    Parameters
    ----------
    cited
        The content of ``CITATION.cff``.
    name
        The name of the dataset, whose entry has the key ``NAME-VERSION``.
    note
        How the release differs from the dataset, where it does.
    """
    released = str(cited["date-released"])
    entries = {
        f"{name}-{cited['version']}": _entry(
            cited, "misc", {"year": released[:4], "version": cited["version"], "note": note}
        )
    }
    for reference in cited["references"]:
        version = reference.get("version")
        key = base = f"{reference['title']}-{version}" if version else _key(reference)
        number = 2
        while key in entries:
            key, number = f"{base}-{number}", number + 1
        entries[key] = _entry(reference, *_published(reference))
    return "\n".join(entry.replace("{", f"{{{key},\n", 1) for key, entry in entries.items())


def _published(reference: Reference) -> tuple[str, dict[str, object]]:
    """Return the type of a reference's entry, and where the work was published."""
    fields: dict[str, object] = {"year": reference.get("year"), "version": reference.get("version")}
    place = str(reference.get("notes", ""))
    if found := _ARXIV.fullmatch(str(reference.get("url", ""))):
        return "misc", fields | {"eprint": found[1], "archiveprefix": "arXiv"}
    if place and (found := _JOURNAL.fullmatch(place)):
        return "article", fields | found.groupdict()
    return "misc", fields | {"howpublished": place}


def _entry(work: Citation | Reference, kind: str, fields: Mapping[str, object]) -> str:
    authors = [_author(one) for one in work["authors"] if one.get("name") not in (NOT_STATED, UNKNOWN)]
    known = {
        "author": " and ".join(authors),
        # Braces keep the capitals of names, which styles of BibTeX lower.
        "title": f"{{{_escape(str(work['title']))}}}",
        **{key: _escape(str(value)) for key, value in fields.items() if value},
        # Addresses are not text: their characters are taken as they are.
        "doi": str(work.get("doi", "")),
        "url": work.get("url", ""),
    }
    lines = [f"  {key} = {{{value}}},\n" for key, value in known.items() if value]
    return f"@{kind}{{{''.join(lines)}}}\n"


def _author(author: Author) -> str:
    if "family-names" in author:
        names = (author["family-names"], author.get("given-names"))
        return ", ".join(_escape(name) for name in names if name)
    # Braces: the words of an organization's name are no given and family names.
    return "others" if author["name"] == OTHERS else f"{{{_escape(author['name'])}}}"


def _key(work: Reference) -> str:
    """Return a key such as ``cohen2020covid``."""
    first = work["authors"][0]
    author = first.get("family-names") or first["name"].partition(" ")[0]
    word = _WORD.search(_plain(str(work["title"])))
    return f"{_plain(author)}{work.get('year', '')}{word[0] if word else ''}"


def _plain(text: str) -> str:
    ascii_ = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9 ]", " ", ascii_.lower()).strip()


def _escape(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))
