"""Who a patient is within a dataset of several sources, and ids that may name one patient in two of them.

An id is one of its source's namespace: by default the source has one of its own, and sources that declare the
same ``patient_namespace`` number patients together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import count_of, name_some, verb_of

if TYPE_CHECKING:
    import pandas as pd

Namespaces = Mapping[str, str | None]
"""By source, the ``patient_namespace`` that it declares; ``None`` where it declares none."""


@dataclass(frozen=True)
class SharedId:
    """A patient id that several sources have, which do not declare whether it is one patient.

    Attributes
    ----------
    patient_id
        The id, a hash where the sources hash their numbers.
    sources
        The sources that have it.
    splits
        The splits of its images.
    """

    patient_id: str
    sources: tuple[str, ...]
    splits: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the id, its sources and splits as JSON has them."""
        return {key: list(one) if isinstance(one, tuple) else one for key, one in asdict(self).items()}


def patient_names(records: pd.DataFrame, namespaces: Namespaces | None = None) -> pd.Series:
    """Return the name of each row's patient within the dataset, that of the image where none is known.

    Parameters
    ----------
    records
        The table.
    namespaces
        What the sources declare; by default nothing, so that an id is a patient of one source.
    """
    image = records["source"] + "/" + records["source_path"]
    scopes = {source: scope for source, scope in (namespaces or {}).items() if scope is not None}
    scope = records["source"].replace(scopes) if scopes else records["source"]
    return (scope + ":" + records["patient_id"]).fillna(image)


def is_one_patient(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> bool:
    """Return whether two rows have the same known patient: an equal id, of one source or in one group."""
    if a["patient_id"] != b["patient_id"] or a["patient_id"] is None:
        return False
    return bool(a["source"] == b["source"] or a["group"] == b["group"])


def find_shared_ids(records: pd.DataFrame, namespaces: Namespaces) -> list[SharedId]:
    """Find ids of kept images that occur in several sources, of which one does not declare whose they are.

    Two sources that both declare a namespace have declared whether their ids name the same patients. Ids
    whose images are in one group are not listed: a link already says that they are one patient.

    Parameters
    ----------
    records
        The table, with groups and splits.
    namespaces
        What the sources declare.
    """
    kept = records[records["exclusion"].isna() & records["patient_id"].notna()]
    of_id = kept.groupby("patient_id")
    # Few ids are shared, if any: the loop is over these alone.
    several = kept[(of_id["source"].transform("nunique") > 1) & (of_id["group"].transform("nunique") > 1)]
    shared = []
    for patient_id, rows in several.groupby("patient_id"):
        sources = sorted(set(rows["source"]))
        if any(not _is_declared(a, b, namespaces) for a, b in combinations(sources, 2)):
            splits = tuple(sorted(set(rows["split"].dropna())))
            shared.append(SharedId(str(patient_id), tuple(sources), splits))
    return shared


def describe_shared_ids(shared: list[SharedId]) -> str:
    """Return what was found, and how to declare it, in sentences; empty where nothing was found."""
    if not shared:
        return ""
    sources = sorted({source for one in shared for source in one.sources})
    in_two_splits = sum(len(one.splits) > 1 for one in shared)
    return (
        f"{count_of(len(shared), 'patient id')} {verb_of(len(shared), 'is')} in several of the "
        f"sources {name_some(sources)}, {in_two_splits:,} of them in several splits. If that is one person, "
        "declare the same `patient_namespace` in these sources; if not, a different one in each."
    )


def _is_declared(a: str, b: str, namespaces: Namespaces) -> bool:
    """Return whether two sources declare whether an equal id is one patient."""
    first, second = namespaces.get(a), namespaces.get(b)
    return (first or a) == (second or b) or None not in (first, second)
