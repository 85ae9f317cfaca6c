"""The attribution of each image, the list of images, and the citation of the release."""

from __future__ import annotations

from collections.abc import Mapping

from cxrbuild.catalog.credit import UNKNOWN, RelatedWork
from cxrbuild.catalog.datasheet import NOT_STATED, Datasheet
from cxrbuild.catalog.license import read_licenses
from cxrbuild.contents import Contents
from cxrbuild.documents.bibtex import Citation, bibtex
from cxrbuild.documents.license_table import attributions
from cxrbuild.documents.lineage import software
from cxrbuild.documents.reference import Author, Reference, authors_of, reference_of
from cxrbuild.errors import name_some
from cxrbuild.spreadsheets import safe_csv

# Creative Commons and Apache licences require a statement of changes.
_CHANGES = {"copied": "none", "encoded": "converted to an 8-bit grey JPEG"}


def attribution(contents: Contents) -> str:
    """Return ``ATTRIBUTION.csv``: for each image its licence, author or DOI, and what was changed."""
    kept = contents.kept
    titles = {name: licence.title for name, licence in read_licenses().items()}
    table = kept[["image_id", "source", "source_path", "license"]].assign(
        license_title=kept["license"].map(titles),
        license_text=kept["license_text"],
        attribution=attributions(contents),
        changes=kept["conversion"].map(_CHANGES),
        embedded=kept["withheld"].isna().map({True: "yes", False: "no"}),
    )
    return safe_csv(table)


def citation(contents: Contents, manifest_sha256: str) -> str:
    """Return ``CITATION.cff``: https://github.com/citation-file-format/citation-file-format, 1.2.0.

    Parameters
    ----------
    contents
        The content of the release.
    manifest_sha256
        The hash of the release's own manifest, which its reader can compute.
    """
    import yaml

    cited = _cited(contents, manifest_sha256)
    return str(yaml.safe_dump(cited, sort_keys=False, allow_unicode=True, width=1000))


def citation_bibtex(contents: Contents, manifest_sha256: str) -> str:
    """Return ``CITATION.bib``: the same works as BibTeX, and the program."""
    cited = _cited(contents, manifest_sha256)
    cited["references"].append(_program(contents))
    caveats = _caveats(contents)
    note = f"{caveats} SHA-256 of manifest.parquet: {manifest_sha256}" if caveats else ""
    return bibtex(cited, contents.name, note=note)


def describe_citations(recipe: str | None, sources: Mapping[str, str | None]) -> list[str]:
    """Return notes on what the citation of a release lacks.

    Parameters
    ----------
    recipe, sources
        The citation of the recipe, and that of each source by name; ``None`` where there is none.
    """
    notes = []
    if not any(sources.values()):
        notes.append(
            "No source has a `citation`: CITATION.cff and CITATION.bib do not name where its images are from."
        )
    cited = {"the recipe": recipe} | dict(sources)
    lacking = {name: _lacking_fields(text) for name, text in cited.items() if text}
    if incomplete := [f"{name} ({' and '.join(fields)})" for name, fields in lacking.items() if fields]:
        notes.append(
            "These citations are incomplete; CITATION.cff and CITATION.bib lack what is in parentheses: "
            f"{name_some(incomplete)}. Write `citation` as `AUTHORS: TITLE. JOURNAL, YEAR, doi:DOI` or "
            "`AUTHORS: TITLE, YEAR, URL`."
        )
    return notes


def _lacking_fields(citation: str) -> list[str]:
    """Return which of authors and year the reference of a citation lacks."""
    reference = reference_of(citation)
    unknown = reference["authors"] == [{"name": UNKNOWN}]
    return [name for name, lacks in (("authors", unknown), ("year", "year" not in reference)) if lacks]


def _cited(contents: Contents, manifest_sha256: str) -> Citation:
    recipe = contents.recipe
    cited = [recipe.citation, *(source.citation for source in contents.sources.values())]
    document: Citation = {
        "cff-version": "1.2.0",
        "message": _message(contents, manifest_sha256),
        "type": "dataset",
        "title": _title(contents),
        "version": contents.version,
        "date-released": contents.document.date,
        "authors": _authors(recipe.datasheet),
        "references": [
            *(_work(work) for work in recipe.datasheet.related),
            *(reference_of(words) for words in cited if words),
        ],
    }
    if recipe.datasheet.keywords:
        document["keywords"] = recipe.datasheet.keywords
    if recipe.datasheet.homepage:
        document["url"] = recipe.datasheet.homepage
    return document


def _title(contents: Contents) -> str:
    title = f"{contents.recipe.title}, version {contents.version}"
    kinds = " and ".join(kind.lower() for kind in contents.notices)
    return f"{title}: {kinds} build, not the dataset itself" if kinds else title


def _message(contents: Contents, manifest_sha256: str) -> str:
    cited = [name for name, source in contents.sources.items() if source.citation]
    works = ""
    if cited:
        whose = "its images" if len(cited) == len(contents.sources) else f"its images of {name_some(cited)}"
        works = f"the works below that {whose} come from"
    elif contents.recipe.citation or contents.recipe.datasheet.related:
        works = "the works below"
    caveats = _caveats(contents)
    if not caveats:
        return f"Cite this dataset, and {works}." if works else "Cite this dataset."
    return (
        f"Do not cite it as {contents.name} {contents.version}. {caveats} State this and the SHA-256 of its "
        f"manifest.parquet, {manifest_sha256}" + (f", and cite {works}." if works else ".")
    )


def _caveats(contents: Contents) -> str:
    """Return the notices as plain text: neither format of citations has Markdown."""
    return " ".join(contents.notices.values()).replace("`", "")


def _program(contents: Contents) -> Reference:
    """Return the program that made the build, whose version decides the bytes."""
    program = software(contents)
    return {
        "type": "software", "authors": [{"name": "The cxrbuild authors"}], "title": program["name"],
        "version": contents.document.cxrbuild, "url": program["url"],
    }  # fmt: skip


def _authors(sheet: Datasheet) -> list[Author]:
    authors: list[Author] = []
    for person in sheet.persons:
        author: Author = {"family-names": person.family_name, "given-names": person.given_name}
        if person.orcid_address:
            author["orcid"] = person.orcid_address
        if person.affiliations:
            author["affiliation"] = "; ".join(one.name for one in person.affiliations)
        authors.append(author)
    return authors if authors and sheet.creator == NOT_STATED else [*authors, {"name": sheet.creator}]


def _work(work: RelatedWork) -> Reference:
    reference: Reference = {
        "type": "generic", "authors": authors_of(work.authors), "title": work.title or work.identifier,
    }  # fmt: skip
    if work.scheme == "doi":
        reference["doi"] = work.value
    else:
        reference["url"] = work.address
    reference["notes"] = f"The dataset {work.relation} it."
    return reference


def image_list(contents: Contents) -> str:
    """Return ``images.csv`` with the columns that torchxrayvision's ``COVID19_Dataset`` reads.

    ``filename`` is relative to the folder of a build, which has all images, the withheld ones too.
    https://github.com/mlmed/torchxrayvision/blob/main/torchxrayvision/datasets.py
    """
    kept = contents.kept
    table = kept[["image_id", "source", "split", "license"]].assign(
        patientid=kept["group"],
        offset="",
        sex=kept["patient_sex"],
        age=kept["patient_age"],
        finding=kept["label"],
        view=kept["view_position"],
        modality=kept["modality"],
        filename=kept["jpeg_path"],
    )
    return safe_csv(table)
