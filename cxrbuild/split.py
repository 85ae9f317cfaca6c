"""Split images by patient, deterministically."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cxrbuild.catalog import Link
from cxrbuild.catalog.csv_table import advise_on_absent
from cxrbuild.catalog.split import DrawnSplit, Split
from cxrbuild.errors import CxrbuildError, DeclarationError, count_of, name_some
from cxrbuild.grouping import connected_groups
from cxrbuild.paths import PathIndex
from cxrbuild.patients import Namespaces, patient_names
from cxrbuild.previous_split import advising, held_splits, require_room

if TYPE_CHECKING:
    import pandas as pd

# A draw is a number of 64 bits.
_DRAWS = 1 << 64


def split_records(
    records: pd.DataFrame, split: Split, links: Sequence[Link], namespaces: Namespaces | None = None
) -> pd.DataFrame:
    """Fill ``group`` for every row and ``split`` for those without an exclusion.

    A group is a patient of a source, or of several that declare one namespace, with all patients and images
    that links or a file listed under several patients connect to it. A group with an image of a declared
    split goes to that split whole, unless its own images are declared in several splits: see
    ``groups_in_several_splits``. A group with a kept image of the former version (``previous_split``), where
    the recipe names one, stays in the split that its images had there: see
    `cxrbuild.previous_split`. A hash of the
    group's name and the salt decides for all other groups. A new image then moves as few others as an exact
    count allows, and none where a share is asked for. Splits that a published list gives stay as they are,
    whatever the groups.

    Parameters
    ----------
    records
        The table, with labels and exclusions.
    split
        The recipe's split.
    links
        Images that are duplicates or of one patient.
    namespaces
        The ``patient_namespace`` that each source declares.

    Raises
    ------
    DeclarationError
        A link names an image that does not exist, or a source declares a split that the recipe does not map.
    CxrbuildError
        No choice of whole groups gives the exact count.
    """
    records = records.assign(group=_groups(records, links, namespaces))
    return records.assign(split=assign_splits(records, split))


def group_records(
    records: pd.DataFrame, links: Sequence[Link], namespaces: Namespaces | None = None
) -> pd.DataFrame:
    """Fill ``group`` for every row, see `split_records`; links of images that are not there are ignored.

    Parameters
    ----------
    records
        The table.
    links
        Images that are duplicates or of one patient.
    namespaces
        The ``patient_namespace`` that each source declares.
    """
    there = set(records["source"] + "/" + records["source_path"])
    fitting = [link for link in links if {"/".join(link.a), "/".join(link.b)} <= there]
    return records.assign(group=_groups(records, fitting, namespaces))


def assign_splits(records: pd.DataFrame, split: Split) -> pd.Series:
    """Return the split of each row, null where it has an exclusion: see `split_records`.

    Parameters
    ----------
    records
        The table, with labels, exclusions and groups.
    split
        The recipe's split.

    Raises
    ------
    DeclarationError
        A source declares a split that the recipe does not map.
    CxrbuildError
        No choice of whole groups gives the exact count.
    """
    if split.published is not None:
        return records["split"].where(records["exclusion"].isna())
    columns = ["source", "group", "label", "upstream_split", "previous_split"]
    kept = records.loc[records["exclusion"].isna(), columns]
    splits = _declared_splits(kept, split)
    # A group with a declared image follows it, to the first of its splits by name.
    follow = splits.dropna().sort_values().groupby(kept["group"]).first()
    splits = splits.fillna(kept["group"].map(follow).astype("str"))
    held = held_splits(kept, split)
    by_source = splits.notna()
    splits = splits.fillna(held)

    if split.test is not None:
        declared = kept.loc[splits == "test", "label"].value_counts()
        require_room("test", split.test, declared, kept.loc[by_source & (splits == "test"), "label"])
        with advising(split, "test"):
            drawn = _draw_rows(kept[splits.isna()], split.test, declared, f"{split.salt}/test")
        splits.loc[drawn] = "test"
    splits = splits.fillna("train")
    if split.validation is not None:
        of_sources = kept.loc[by_source & (splits == "validation"), "label"]
        train = kept[(splits == "train") & ~kept["group"].isin(kept.loc[splits != "train", "group"])]
        # The former version drew it from images that a source declares to be train, too.
        splits.loc[train.index[held.loc[train.index] == "validation"]] = "validation"
        train = train[held.loc[train.index].isna()]
        declared = kept.loc[splits == "validation", "label"].value_counts()
        require_room("validation", split.validation, declared, of_sources)
        with advising(split, "validation"):
            drawn = _draw_rows(train, split.validation, declared, f"{split.salt}/validation")
        splits.loc[drawn] = "validation"
    return splits.reindex(records.index).astype("str")


def groups_in_several_splits(records: pd.DataFrame) -> pd.Series:
    """Return the groups with images in several splits, each with its splits as a comma list."""
    kept = records.loc[records["exclusion"].isna(), ["group", "split"]]
    pairs = kept.drop_duplicates().sort_values(["group", "split"])
    return pairs[pairs["group"].duplicated(keep=False)].groupby("group")["split"].agg(", ".join)


def _groups(records: pd.DataFrame, links: Sequence[Link], namespaces: Namespaces | None) -> pd.Series:
    """Return for each row the least name of the patients and images that are connected with it."""
    image = records["source"] + "/" + records["source_path"]
    patient = patient_names(records, namespaces)
    ends = {f"{source}/{path}": (source, path) for link in links for source, path in (link.a, link.b)}
    linked = image.isin(list(ends))
    known = dict(zip(image[linked], patient[linked], strict=True))
    if unknown := [end for name, end in ends.items() if name not in known]:
        index = {name: PathIndex(rows["source_path"]) for name, rows in records.groupby("source")}
        absent = [link for link in links if {link.a, link.b} & set(unknown)]
        raise DeclarationError(
            f"{count_of(len(unknown), 'link')} of images that the source does not have",
            where=name_some(sorted({str(link.file) for link in absent if link.file})) or None,
            found=name_some(f"{source} {index[source].describe(path)}" for source, path in unknown),
            todo=advise_on_absent((link.file for link in absent), "split.links"),
        )
    # Only these rows can be connected with others: the rest of a large table is left as it is.
    again = image.duplicated(keep=False)
    first = patient[again].groupby(image[again]).transform("first")
    pairs = list(zip(first, patient[again], strict=True))
    pairs += [(known["/".join(link.a)], known["/".join(link.b)]) for link in links]
    # A withdrawn image still connects the others, but a name that is only its own names no group: the name is
    # published, and with another name all of them could move to another split.
    withdrawn = records["exclusion"].eq("withdrawn").fillna(value=False).astype("bool")
    unsuitable = set(patient[withdrawn]) - set(patient[~withdrawn]) if withdrawn.any() else set()
    return patient.map(connected_groups(pairs, unsuitable)).astype("str").fillna(patient)


def _declared_splits(kept: pd.DataFrame, split: Split) -> pd.Series:
    import pandas as pd

    splits = pd.Series(None, index=kept.index, dtype="str")
    for declared in split.declared:
        values = kept.loc[kept["source"] == declared.source, "upstream_split"]
        unknown = values[~values.isin(list(declared.map))]
        if len(unknown):
            raise DeclarationError(
                f"the recipe does not map all values of `upstream_split` of the source {declared.source}",
                expected=", ".join(declared.map),
                found=name_some(sorted(set(unknown.fillna("none")))),
                todo="Add them to `map` under [[split.declared]]",
            )
        splits.loc[values.index] = values.map(declared.map)
    return splits


def _draw_rows(rows: pd.DataFrame, drawn: DrawnSplit, declared: pd.Series, salt: str) -> pd.Index:
    """Return the index of the rows to add to a split, given how many of each class are declared in it."""
    if drawn.share is not None:
        taken = {group for group in set(rows["group"]) if _draw(salt, group) < drawn.share * _DRAWS}
    else:
        assert drawn.count is not None
        taken = set()
        for label, count in drawn.count.items():
            of_class = rows[rows["label"] == label]
            # A group of two classes counts with each. Groups taken for an earlier class stay taken.
            free = of_class[~of_class["group"].isin(list(taken))]
            already = int(declared.get(label, 0)) + len(of_class) - len(free)
            groups: dict[str, dict[str, int]] = {}
            sizes = free.groupby(["group", "source"]).size()
            of_group, of_source = (sizes.index.get_level_values(level) for level in ("group", "source"))
            for group, source, images in zip(of_group, of_source, sizes, strict=True):
                groups.setdefault(group, {})[source] = int(images)
            taken |= choose_groups(groups, count - already, salt, label)
    return rows.index[rows["group"].isin(list(taken))]


def choose_groups(groups: Mapping[str, Mapping[str, int]], count: int, salt: str, label: str) -> set[str]:
    """Choose whole groups that have exactly ``count`` images, each source near its share.

    Groups are taken in the order of their hash, as long as they fit into the quota of their source (its share
    of ``count`` by largest remainder). The rest is filled from the other groups, in the same order. Groups
    that were taken are given back only if no such choice is exact.

    Parameters
    ----------
    groups
        For each group, how many images it has of each source.
    count
        How many images to choose.
    salt
        Part of the hash.
    label
        The class, for the error.

    Raises
    ------
    CxrbuildError
        No choice of whole groups has exactly that many images.
    """
    order = sorted(groups, key=lambda group: _draw(salt, group))
    size = {group: sum(groups[group].values()) for group in order}
    quotas = _quotas(groups, count)
    taken: list[str] = []
    for group in order:
        if all(quotas.get(source, 0) >= n for source, n in groups[group].items()):
            taken.append(group)
            for source, n in groups[group].items():
                quotas[source] -= n
    fitting = set(taken)
    others = [group for group in order if group not in fitting]
    # Give back from the last, twice as many each time: the groups whose hash is nearest to the limit move.
    step = 1
    while (more := _choose_exactly(others, size, count - sum(size[g] for g in taken))) is None and taken:
        others[:0] = taken[-step:]
        del taken[-step:]
        step *= 2
    if not size and count > 0:
        raise CxrbuildError(
            f"no image of {label} can be drawn",
            expected=f"{count_of(count, 'image')}, as `split` declares",
            found="every image of this class is excluded, or in another split",
            todo="Remove the count to see with `plan` what is excluded, and correct labels, rules or split",
        )
    if more is None:
        raise CxrbuildError(
            f"cannot draw exactly {count_of(count, 'image')} of {label} without dividing a patient",
            expected=f"{count} of the {sum(size.values())} images in {len(size)} groups",
            found=f"groups with {name_some(sorted(set(size.values()), reverse=True))} images each",
            todo="Ask for another count, or for a share",
        )
    return set(taken) | set(more)


def _quotas(groups: Mapping[str, Mapping[str, int]], count: int) -> dict[str, int]:
    """Return for each source how many of ``count`` images are its share, by largest remainder."""
    images: dict[str, int] = {}
    for sizes in groups.values():
        for source, n in sizes.items():
            images[source] = images.get(source, 0) + n
    total = max(sum(images.values()), 1)
    exact = {source: count * n / total for source, n in images.items()}
    quotas = {source: int(share) for source, share in exact.items()}
    short = count - sum(quotas.values())
    for source in sorted(images, key=lambda s: (quotas[s] - exact[s], s))[:short]:
        quotas[source] += 1
    return quotas


def _choose_exactly(order: Sequence[str], size: Mapping[str, int], count: int) -> list[str] | None:
    """Return groups with exactly ``count`` images, early ones first; ``None`` if there is no such choice.

    A group is chosen if the groups after it can complete the choice. Where that holds for a run of groups, it
    holds for a shorter run, so the end of the run is found by bisection. Once a group cannot be chosen, no
    later group of its size can: there are at most as many runs as sizes.
    """
    if count < 0:
        return None
    places: dict[int, list[int]] = {}
    for place, group in enumerate(order):
        places.setdefault(size[group], []).append(place)
    if not _is_sum({n: len(found) for n, found in places.items()}, count):
        return None
    chosen: list[int] = []
    start = 0
    while count:
        places = {n: found[bisect_left(found, start) :] for n, found in places.items() if n <= count}
        end = (
            bisect_left(
                range(start + 1, len(order) + 1),
                x=True,
                key=partial(_is_too_far, places=places, count=count),
            )
            + start
        )
        run = [place for found in places.values() for place in found[: bisect_left(found, end)]]
        chosen += run
        count -= sum(size[order[place]] for place in run)
        if count:
            places.pop(size[order[end]])
            start = end + 1
    return [order[place] for place in chosen]


def _is_too_far(end: int, places: Mapping[int, Sequence[int]], count: int) -> bool:
    """Return whether ``count`` is out of reach once all groups before ``end`` are chosen.

    Parameters
    ----------
    end
        A place in the order.
    places
        For each size the places of the groups that can be chosen, sorted.
    count
        How many images to choose.
    """
    before = {n: bisect_left(found, end) for n, found in places.items()}
    rest = count - sum(n * chosen for n, chosen in before.items())
    return rest < 0 or not _is_sum({n: len(found) - before[n] for n, found in places.items()}, rest)


def _is_sum(times: Mapping[int, int], total: int) -> bool:
    """Return whether numbers, each at most so many times, have a sum: bit n of ``reach`` is set for sum n."""
    reach, mask = 1, (1 << (total + 1)) - 1
    for number, most in times.items():
        left, step = min(most, total // number), 1
        while left:
            step = min(step, left)
            reach |= reach << number * step & mask
            left -= step
            step *= 2
    return bool(reach >> total & 1)


def _draw(salt: str, group: str) -> int:
    """Return a group's number in a draw that is the same on every machine: 64 bits of a SHA-256."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{group}".encode()).digest()[:8], "big")
