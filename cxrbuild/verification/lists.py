"""Check the files that list the images, and the citation, of a release that another version made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.checks import Finding
from cxrbuild.contents import Contents
from cxrbuild.parsing import parse_yaml

if TYPE_CHECKING:
    import pandas as pd


def list_findings(folder: Path, manifest: pd.DataFrame) -> Iterator[Finding]:
    """Find rows of ``ATTRIBUTION.csv`` and ``images.csv`` that are not the manifest's."""
    kept = manifest.drop_duplicates("image_id").set_index("image_id")
    embedded = kept["withheld"].isna().map({True: "yes", False: "no"})
    attribution = kept.assign(embedded=embedded)[["license", "embedded"]]
    yield from _table_findings(folder, names.ATTRIBUTION, attribution)
    images = kept.assign(finding=kept["label"], filename=kept["jpeg_path"])
    yield from _table_findings(folder, names.IMAGE_LIST, images[["finding", "split", "filename"]])


def _table_findings(folder: Path, name: str, expected: pd.DataFrame) -> Iterator[Finding]:
    import pandas as pd

    try:
        table = pd.read_csv(folder / name, dtype="str", keep_default_na=False).set_index("image_id")
        table = table[list(expected.columns)]
    except (OSError, KeyError, ValueError) as error:
        yield Finding(f"cannot be read: {error}", name)
        return
    for image in table.index[table.index.duplicated()]:
        yield Finding("occurs twice", name, image)
    table = table[~table.index.duplicated()]
    for image in expected.index.difference(table.index):
        yield Finding("is missing", name, image)
    for image in table.index.difference(expected.index):
        yield Finding("is not in the manifest", name, image)
    both = expected.index.intersection(table.index)
    for column in expected.columns:
        cells = zip(both, table.loc[both, column], expected.loc[both, column].fillna(""), strict=True)
        for image, found, wanted in cells:
            if found != wanted:
                yield Finding(f"{column} is {found}, the manifest has {wanted}", name, image)


def citation_findings(folder: Path, contents: Contents) -> Iterator[Finding]:
    """Find a version or a date of ``CITATION.cff`` that is not the release's."""
    try:
        cited = parse_yaml((folder / names.CITATION).read_text(encoding="utf-8"))
        found = {"version": str(cited["version"]), "date-released": str(cited["date-released"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Finding(f"cannot be read: {error!r}", names.CITATION)
        return
    for key, expected in (("version", contents.version), ("date-released", contents.document.date)):
        if found[key] != expected:
            yield Finding(f"is {found[key]}, build.json has {expected}", names.CITATION, key)
