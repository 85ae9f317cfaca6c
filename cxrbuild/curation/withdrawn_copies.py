"""Withdraw the duplicates of withdrawn images: files of equal bytes, and images that a link connects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cxrbuild.catalog import Link, Source
from cxrbuild.catalog.withdrawal import Withdrawal
from cxrbuild.errors import count_of, name_some
from cxrbuild.ingest.withdrawn_patients import mark_withdrawn
from cxrbuild.progress import Progress, silent
from cxrbuild.rules.apply import duplicate_groups

if TYPE_CHECKING:
    import pandas as pd

Image = tuple[str, str]


class _Withdrawn(NamedTuple):
    """Why an image is withdrawn.

    Parameters
    ----------
    declared_by
        The source whose file of withdrawals says so, directly or of the image's duplicate.
    date, reason
        The day, and the reason; the reason is empty where it is not shown.
    of
        The withdrawn image that it is a duplicate of; ``None`` where only the hash of a file is declared.
    """

    declared_by: str
    date: str
    reason: str
    of: Image | None


def withdraw_copies(
    records: pd.DataFrame,
    sources: Sequence[Source],
    links: Iterable[Link],
    fetched: Mapping[str, Mapping[str, str]],
    progress: Progress = silent,
) -> pd.DataFrame:
    """Return the rows, those of duplicates of withdrawn images excluded as ``withdrawn``.

    Duplicates are files of equal bytes, files of a declared hash, and images that links of kind ``duplicate``
    connect. Otherwise the pixels would come back with the duplicate that a rule excluded before. The detail
    names the withdrawn image and its reason, unless both are of another source that is not public.

    Parameters
    ----------
    records
        The rows of all sources, of withdrawn images too with all their values.
    sources, links
        The sources, and what the recipe links.
    fetched
        The git blob hash of every fetched file, by source and path.
    progress
        Warns of the duplicates.
    """
    declared = {
        blob: _Withdrawn(source.name, one.date, one.reason, None)
        for source in sources
        for blob, one in source.all_withdrawals.blobs.items()
    }
    withdrawn = records[records["exclusion"].eq("withdrawn").fillna(value=False)]
    if withdrawn.empty and not declared:
        return records
    why = {
        image: _Withdrawn(image[0], detail[:10], note if isinstance(note, str) else "", image)
        for image, detail, note in zip(
            images_of(withdrawn), withdrawn["exclusion_detail"], withdrawn["exclusion_note"], strict=True
        )
    }
    known = set(why)
    rest = records[~records.index.isin(withdrawn.index)]
    blobs = _blobs(records, sources, fetched)
    if unknown := _describe_unknown(sources, blobs):
        progress.warn(unknown)
    groups = duplicate_groups(list(links))
    linked: dict[Image, list[Image]] = {}
    for image in groups:
        linked.setdefault(groups.find(image), []).append(image)
    there = set(images_of(rest)) if linked else set()
    of_blob = dict(declared)
    new = dict(why)
    while True:
        for image, one in new.items():
            if (blob := blobs.get(image)) is not None:
                of_blob.setdefault(blob, one)
        same = rest[_series(rest, blobs).isin(list(of_blob))]
        new = {image: of_blob[blobs[image]] for image in images_of(same) if image not in why}
        for image, one in [*why.items(), *new.items()]:
            for other in linked.get(groups.find(image), ()) if image in groups else ():
                if other in there and other not in why:
                    new.setdefault(other, one)
        if not new:
            break
        why |= new
    copies = {image: one for image, one in why.items() if image not in known}
    return _excluded(records, sources, copies, progress) if copies else records


def _excluded(
    records: pd.DataFrame, sources: Sequence[Source], copies: Mapping[Image, _Withdrawn], progress: Progress
) -> pd.DataFrame:
    records = records.copy(deep=False)
    by_name = {source.name: source for source in sources}
    images = dict(zip(records.index, images_of(records), strict=True))
    for source in sources:
        rows = {
            row: Withdrawal(image[1], one.date, _describe(source.name, one, by_name))
            for row, image in images.items()
            if image[0] == source.name and (one := copies.get(image)) is not None
        }
        mark_withdrawn(records, rows, source.license)
    progress.warn(_warning(copies, by_name))
    return records


def _describe(source: str, one: _Withdrawn, by_name: Mapping[str, Source]) -> str:
    """Return the reason as a row of a source has it: nothing of another source that is not public."""
    if one.declared_by != source and not by_name[one.declared_by].public:
        return ""
    if one.of is None:
        what = "its file has a withdrawn hash"
    else:
        what = f"a duplicate of {one.of[1] if one.of[0] == source else ' '.join(one.of)}"
    return f"{one.reason}; {what}" if one.reason else what


def _warning(copies: Mapping[Image, _Withdrawn], by_name: Mapping[str, Source]) -> str:
    named = sorted(
        " ".join(image) + (" by the hash of its file" if one.of is None else f" of {' '.join(one.of)}")
        for image, one in copies.items()
    )
    files = sorted(
        {
            by_name[source].withdrawals_place
            if by_name[source].withdrawn
            else f"a file that `withdrawn` of {source} names"
            for source, _ in copies
        }
    )
    return (
        f"{count_of(len(named), 'image')} withdrawn as duplicates of withdrawn ones: {name_some(named)}. "
        "Equal files or a link show this, and may not be known later: add the paths of these images to "
        f"{' and '.join(files)} before you delete files or links."
    )


def _describe_unknown(sources: Sequence[Source], blobs: Mapping[Image, str]) -> str:
    """Return a warning of declared hashes that no file has, or not the file that the line names."""
    known = set(blobs.values())
    lines = []
    for source in sources:
        for blob, one in source.all_withdrawals.blobs.items():
            found = blobs.get((source.name, one.path))
            if found is not None and found != blob:
                lines.append(f"{source.withdrawals_place}, line {one.line} ({one.path} has {found})")
            elif not one.path and blob not in known:
                lines.append(f"{source.withdrawals_place}, line {one.line}")
    if not lines:
        return ""
    return (
        f"{count_of(len(lines), 'withdrawn hash')} of no file, or of another one than the line names: "
        f"{name_some(lines)}. Correct a hash that is not what `git hash-object FILE` prints, such as that of "
        "`sha1sum`: it withdraws no image. Leave the line of a file that is deleted. Once it also names the "
        "path of that file, it is no longer reported."
    )


def images_of(rows: pd.DataFrame) -> list[Image]:
    """Return the source and the path of each row."""
    return list(zip(rows["source"], rows["source_path"], strict=True))


def _blobs(
    records: pd.DataFrame, sources: Sequence[Source], fetched: Mapping[str, Mapping[str, str]]
) -> dict[Image, str]:
    """Return the git blob hash of the file of each row, where it is known: as fetched, else as pinned."""
    found = {
        image: blob
        for image, blob in zip(images_of(records), records["source_blob"], strict=True)
        if isinstance(blob, str)
    }
    for source in sources:
        of_source = fetched.get(source.name, {})
        paths = records.loc[records["source"] == source.name, "source_path"]
        found |= {(source.name, path): of_source[path] for path in paths if path in of_source}
    return found


def _series(rows: pd.DataFrame, blobs: Mapping[Image, str]) -> pd.Series:
    import pandas as pd

    return pd.Series([blobs.get(image) for image in images_of(rows)], index=rows.index, dtype="object")
