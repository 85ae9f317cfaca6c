"""What changed between two versions of a source: files, labels, patients, licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.notebook import result_html
from cxrbuild.pins.version import SourceVersion
from cxrbuild.records import image_id, possible_ids

if TYPE_CHECKING:
    import pandas as pd

CHANGES = {
    "removed": "images removed",
    "moved": "images under another path",
    "added": "images added",
    "changed": "images with other bytes",
    "relabelled": "images with another finding",
    "patient_renamed": "images with another patient",
    "license_changed": "images with another licence",
    "row_removed": "images whose metadata was removed",
    "row_added": "images that got metadata",
    "metadata_changed": "images with other metadata",
}
# Our columns whose change has a name of its own.
_NAMED = {"finding": "relabelled", "patient_id": "patient_renamed", "license": "license_changed"}
COLUMNS = ("change", "path", "image_id", "old", "new", "released")


@dataclass(frozen=True)
class PinDiff:
    """The changes between two versions of a source.

    Attributes
    ----------
    old, new
        How the versions were named.
    images
        The number of images in each.
    rows
        A row for each change of an image, with the columns of `COLUMNS`: what changed, the image's path and
        id (the new ones for an image that was added), the old and the new value, and the published versions
        that have the image.
    patients
        The number of patients with another name, where the images of each old one have one new name.
    absent
        Upstream columns that one of the versions does not have, and that are therefore not compared.
    """

    old: str
    new: str
    images: tuple[int, int]
    rows: pd.DataFrame
    patients: int
    absent: Sequence[str] = field(default_factory=tuple)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each change, without zeros."""
        found = self.rows["change"].value_counts()
        return {change: int(found[change]) for change in CHANGES if change in found}

    @property
    def left_released(self) -> pd.DataFrame:
        """The images of published versions that the new version no longer has under any path."""
        return self.rows[(self.rows["change"] == "removed") & (self.rows["released"] != "")]

    def to_dict(self) -> dict[str, Any]:
        """Return the changes as JSON has them."""
        return {
            "old": self.old,
            "new": self.new,
            "images": list(self.images),
            "counts": self.counts(),
            "patients_renamed": self.patients,
            "left_released": len(self.left_released),
            "absent_columns": list(self.absent),
            "changes": self.rows.to_dict("records"),
        }

    def _repr_html_(self) -> str:
        return result_html(
            f"{self.old} \u2192 {self.new}",
            ["" if self.counts() else "Nothing changed."],
            rows=[[CHANGES[change], n] for change, n in self.counts().items()],
        )


def compare_versions(
    old: SourceVersion, new: SourceVersion, released: Mapping[str, Sequence[str]]
) -> PinDiff:
    """Compare two versions of a source.

    Parameters
    ----------
    old, new
        The versions.
    released
        For ids of the source's images the published versions that have them.

    Raises
    ------
    CxrbuildError
        They are versions of two sources.
    """
    import pandas as pd

    if old.source.name != new.source.name:
        raise CxrbuildError(
            "these are two sources, not two versions of one",
            found=f"{old.source.name} and {new.source.name}",
            todo="Name two declarations of one source",
        )
    before, after = set(old.images), set(new.images)
    moved = _find_moved(old, new, sorted(before - after), sorted(after - before))
    rows = [
        ("moved", path, path, moved[path]) if path in moved else ("removed", path, _blob(old, path), "")
        for path in sorted(before - after)
    ]
    rows += [("added", path, "", _blob(new, path)) for path in sorted(after - before - set(moved.values()))]
    same = {path: path for path in before & after} | moved
    rows += [
        ("changed", path, _blob(old, path), _blob(new, path))
        for path in sorted(before & after)
        if "" not in (_blob(old, path), _blob(new, path)) and _blob(old, path) != _blob(new, path)
    ]
    rows += _changed_values(old, new, same)
    table = pd.DataFrame(rows, columns=["change", "path", "old", "new"], dtype="str")
    name, public = new.source.name, new.source.public
    table["image_id"] = [image_id(name, path, named=public) for path in table["path"]]
    table["released"] = [
        ", ".join(
            dict.fromkeys(version for one in possible_ids(name, path) for version in released.get(one, ()))
        )
        for path in table["path"]
    ]
    order = {change: place for place, change in enumerate(CHANGES)}
    table = table.assign(place=table["change"].map(order)).sort_values(["place", "path"], kind="stable")
    return PinDiff(
        old=old.name,
        new=new.name,
        images=(len(before), len(after)),
        rows=table[list(COLUMNS)].reset_index(drop=True),
        patients=_count_renamed(old, new, same),
        absent=[f"{side.name}: {origin}" for side in (old, new) for origin in side.absent.values()],
    )


def _blob(version: SourceVersion, path: str) -> str:
    return version.listing[path].blob or ""


def _find_moved(
    old: SourceVersion, new: SourceVersion, removed: Sequence[str], come: Sequence[str]
) -> dict[str, str]:
    """Return the new path of each image that is under another path, by its bytes."""
    places: dict[str, list[str]] = {}
    for path in come:
        if blob := _blob(new, path):
            places.setdefault(blob, []).append(path)
    moved = {}
    for path in removed:
        if (blob := _blob(old, path)) and places.get(blob):
            moved[path] = places[blob].pop(0)
    return moved


def _changed_values(
    old: SourceVersion, new: SourceVersion, same: Mapping[str, str]
) -> list[tuple[str, str, str, str]]:
    """Return the changes of metadata of the images that both versions have, without numbers to be hashed."""
    if not len(old.values.columns) or not len(new.values.columns):
        return []  # of one version no metadata is known
    paths = [path for path in sorted(same) if path in old.values.index and same[path] in new.values.index]
    found = [
        ("row_removed", path, "", "")
        for path in sorted(same)
        if path in old.values.index and same[path] not in new.values.index
    ]
    found += [
        ("row_added", path, "", "")
        for path in sorted(same)
        if path not in old.values.index and same[path] in new.values.index
    ]
    for column in old.values.columns.intersection(new.values.columns, sort=False):
        before = old.values.loc[paths, column].tolist()
        after = new.values.loc[[same[path] for path in paths], column].tolist()
        change = _NAMED.get(column, "metadata_changed")
        # A number that one of the declarations hashes is not shown from the other.
        hidden = column == "patient_id" and "hash" in (
            old.source.reader.patient_id, new.source.reader.patient_id,
        )  # fmt: skip
        prefix = "" if column in _NAMED else f"{column} "
        found += [
            (change, path, *(("", "") if hidden else (f"{prefix}{was}", f"{prefix}{now}")))
            for path, was, now in zip(paths, before, after, strict=True)
            if was != now
        ]
    return found


def _count_renamed(old: SourceVersion, new: SourceVersion, same: Mapping[str, str]) -> int:
    """Return how many patients have another name now, all their images the same one."""
    if "patient_id" not in old.values or "patient_id" not in new.values:
        return 0
    names: dict[str, set[str]] = {}
    for path, place in same.items():
        if path in old.values.index and place in new.values.index:
            patient = str(old.values.at[path, "patient_id"])
            names.setdefault(patient, set()).add(str(new.values.at[place, "patient_id"]))
    return sum(len(found) == 1 and patient not in found for patient, found in names.items() if patient)
