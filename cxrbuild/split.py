"""Part the kept images so that no patient is on both sides, the same way on every machine."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cxrbuild.catalog import Link
from cxrbuild.catalog.recipe import Part, Split
from cxrbuild.errors import CxrbuildError, DeclarationError, name_some
from cxrbuild.grouping import connected_groups

if TYPE_CHECKING:
    import pandas as pd

_RANGE = 1 << 64


def split_records(records: pd.DataFrame, split: Split, links: Sequence[Link]) -> pd.DataFrame:
    """Fill ``group`` for every row and ``split`` for those without an exclusion.

    A group is a patient of a source, joined with what links say is the same image or patient, and with other
    patients that upstream lists the same file under. A group with an image of a declared split goes there
    whole, unless its own images are declared in several splits: see ``groups_in_several_splits``. All other
    groups are assigned by a hash of the group and the salt, so that a new image moves as few others as an
    exact count allows, and none where a share is asked for.

    Parameters
    ----------
    records
        The table, labelled and ruled.
    split
        How the recipe parts it.
    links
        Films known to be the same film or patient.

    Raises
    ------
    DeclarationError
        A link names a film that is not there, or a declared source's word for the part is not known.
    CxrbuildError
        No choice of whole groups gives the exact count.
    """
    records = records.copy()
    records["group"] = _groups(records, links)
    records["split"] = None
    kept = records.loc[records["exclusion"].isna()]
    parts = _declared_parts(kept, split)
    # A group that a declared image belongs to follows it: the first part in the order of the names.
    follow = parts.dropna().sort_values().groupby(kept["group"]).first()
    parts = parts.fillna(kept["group"].map(follow).astype("str"))

    if split.test is not None:
        have = kept.loc[parts == "test", "label"].value_counts()
        parts.loc[_cut(kept[parts.isna()], split.test, have, f"{split.salt}/test")] = "test"
    parts = parts.fillna("train")
    if split.validation is not None:
        have = kept.loc[parts == "validation", "label"].value_counts()
        train = kept[(parts == "train") & ~kept["group"].isin(kept.loc[parts != "train", "group"])]
        parts.loc[_cut(train, split.validation, have, f"{split.salt}/validation")] = "validation"
    records.loc[kept.index, "split"] = parts
    records["split"] = records["split"].astype("str")
    return records


def groups_in_several_splits(records: pd.DataFrame) -> pd.Series:
    """Return the groups that stand in more than one part, each with its parts as a comma list."""
    kept = records.loc[records["exclusion"].isna(), ["group", "split"]]
    parts = kept.drop_duplicates().sort_values(["group", "split"])
    return parts[parts["group"].duplicated(keep=False)].groupby("group")["split"].agg(", ".join)


def _groups(records: pd.DataFrame, links: Sequence[Link]) -> pd.Series:
    """Return for each row the least name of the patients and films that are joined with it."""
    film = records["source"] + "/" + records["source_path"]
    patient = (records["source"] + ":" + records["patient_id"]).fillna(film)
    known = dict(zip(film, patient, strict=True))
    unknown = [
        f"{source} {path}"
        for link in links
        for source, path in (link.a, link.b)
        if f"{source}/{path}" not in known
    ]
    if unknown:
        raise DeclarationError(
            f"{len(unknown)} links name films that are not there",
            found=name_some(unknown),
            todo="Links go with one version of a source: fetch that one, or take the lines out",
        )
    pairs = list(zip(film.map(known), patient, strict=True))
    pairs += [(known["/".join(link.a)], known["/".join(link.b)]) for link in links]
    return patient.map(connected_groups(pairs)).astype("str")


def _declared_parts(kept: pd.DataFrame, split: Split) -> pd.Series:
    parts = kept["split"].astype("str")
    for declared in split.declared:
        words = kept.loc[kept["source"] == declared.source, "upstream_split"]
        unknown = words[~words.isin(list(declared.words))]
        if len(unknown):
            raise DeclarationError(
                f"the source {declared.source} has words for the part that the recipe does not know",
                expected=", ".join(declared.words),
                found=name_some(sorted(set(unknown.fillna("none")))),
            )
        parts.loc[words.index] = words.map(declared.words)
    return parts


def _cut(rows: pd.DataFrame, part: Part, have: pd.Series, salt: str) -> pd.Index:
    """Return the index of the rows that a part takes, beside the images it has of each class."""
    if part.share is not None:
        taken = {group for group in set(rows["group"]) if _draw(salt, group) < part.share * _RANGE}
    else:
        assert part.count is not None
        taken = set()
        for label, count in part.count.items():
            of_class = rows[rows["label"] == label]
            # A group of two classes counts with each; what an earlier class took stays taken.
            free = of_class[~of_class["group"].isin(list(taken))]
            already = int(have.get(label, 0)) + len(of_class) - len(free)
            groups: dict[str, Counter[str]] = {}
            for group, source in zip(free["group"], free["source"], strict=True):
                groups.setdefault(group, Counter())[source] += 1
            taken |= choose_groups(groups, count - already, salt, label)
    return rows.index[rows["group"].isin(list(taken))]


def choose_groups(groups: Mapping[str, Mapping[str, int]], count: int, salt: str, label: str) -> set[str]:
    """Choose whole groups that have exactly ``count`` images, each source near its share.

    Groups are taken in the order of their hash while they fit into what their source is still due (its share
    of ``count`` by largest remainder). What is then still short is filled from the groups left over, in the
    same order; only if no such choice is exact are groups that were taken given back.

    Parameters
    ----------
    groups
        For each group the images it has of each source.
    count
        How many images to choose.
    salt
        Goes into the hash.
    label
        The class, for the error.

    Raises
    ------
    CxrbuildError
        No choice of whole groups has exactly that many images.
    """
    order = sorted(groups, key=lambda group: _draw(salt, group))
    size = {group: sum(groups[group].values()) for group in order}
    due = _quotas(groups, count)
    taken: list[str] = []
    for group in order:
        if all(due.get(source, 0) >= n for source, n in groups[group].items()):
            taken.append(group)
            for source, n in groups[group].items():
                due[source] -= n
    left = [group for group in order if group not in set(taken)]
    # Given back from the last, ever more at once: the groups whose hash is nearest to the border move first.
    step = 1
    while (more := _exactly(left, size, count - sum(size[g] for g in taken))) is None and taken:
        left[:0] = taken[-step:]
        del taken[-step:]
        step *= 2
    if more is None:
        raise CxrbuildError(
            f"no choice of whole patients has exactly {count} images of {label}",
            expected=f"{count} of the {sum(size.values())} images in {len(size)} groups",
            found=f"groups of {name_some(sorted(set(size.values()), reverse=True))} images",
            todo="Ask for another count, or for a share",
        )
    return set(taken) | set(more)


def _quotas(groups: Mapping[str, Mapping[str, int]], count: int) -> dict[str, int]:
    """Return what each source is due of ``count`` images: its share, by largest remainder."""
    have: dict[str, int] = {}
    for sizes in groups.values():
        for source, n in sizes.items():
            have[source] = have.get(source, 0) + n
    total = max(sum(have.values()), 1)
    exact = {source: count * n / total for source, n in have.items()}
    due = {source: int(share) for source, share in exact.items()}
    short = count - sum(due.values())
    for source in sorted(have, key=lambda s: (due[s] - exact[s], s))[:short]:
        due[source] += 1
    return due


def _exactly(order: Sequence[str], size: Mapping[str, int], count: int) -> list[str] | None:
    """Return groups with exactly ``count`` images, early ones preferred, ``None`` where there are none."""
    if count < 0:
        return None
    # reach[i]: bit n is set where some of the groups from the i-th on have n images together.
    mask = (1 << (count + 1)) - 1
    reach = [1]
    for group in reversed(order):
        reach.append((reach[-1] | reach[-1] << size[group]) & mask)
    reach.reverse()
    if not reach[0] >> count & 1:
        return None
    chosen = []
    for i, group in enumerate(order):
        if size[group] <= count and reach[i + 1] >> (count - size[group]) & 1:
            chosen.append(group)
            count -= size[group]
    return chosen


def _draw(salt: str, group: str) -> int:
    """Return a group's place in a draw that is the same everywhere: 64 bits of a SHA-256."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{group}".encode()).digest()[:8], "big")
