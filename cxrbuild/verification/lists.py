"""Whether the files that list the images, and the citation, agree with the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.contents import Contents
from cxrbuild.verification.finding import Finding

if TYPE_CHECKING:
    import pandas as pd


def check_lists(folder: Path, manifest: pd.DataFrame, faults: list[Finding]) -> None:
    """Check ``ATTRIBUTION.csv`` and ``images.csv``, row by row."""
    kept = manifest.drop_duplicates("image_id").set_index("image_id")
    embedded = kept["withheld"].isna().map({True: "yes", False: "no"})
    _check_list(folder, "ATTRIBUTION.csv", kept.assign(embedded=embedded)[["license", "embedded"]], faults)
    films = kept.assign(finding=kept["label"], filename=kept["jpeg_path"])
    _check_list(folder, "images.csv", films[["finding", "split", "filename"]], faults)


def _check_list(folder: Path, name: str, due: pd.DataFrame, faults: list[Finding]) -> None:
    import pandas as pd

    try:
        table = pd.read_csv(folder / name, dtype="str", keep_default_na=False).set_index("image_id")
        table[list(due.columns)]
    except (OSError, KeyError, ValueError) as error:
        faults.append(Finding(name, None, f"cannot be read: {error}"))
        return
    faults += [Finding(name, image, "stands here twice") for image in table.index[table.index.duplicated()]]
    table = table[~table.index.duplicated()]
    faults += [Finding(name, image, "is missing") for image in due.index.difference(table.index)]
    faults += [Finding(name, image, "is not in the manifest") for image in table.index.difference(due.index)]
    both = due.index.intersection(table.index)
    for column in due.columns:
        pairs = zip(both, table.loc[both, column], due.loc[both, column], strict=True)
        faults += [
            Finding(name, image, f"{column} is {found}, the manifest says {wanted}")
            for image, found, wanted in pairs
            if found != wanted
        ]


def check_citation(folder: Path, contents: Contents, faults: list[Finding]) -> None:
    """Check the version and the date of ``CITATION.cff``."""
    import yaml

    try:
        cited = yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))
        told = {"version": str(cited["version"]), "date-released": str(cited["date-released"])}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        faults.append(Finding("CITATION.cff", None, f"cannot be read: {error!r}"))
        return
    for key, due in (("version", contents.version), ("date-released", contents.document.date)):
        if told[key] != due:
            faults.append(Finding("CITATION.cff", key, f"is {told[key]}, build.json says {due}"))
