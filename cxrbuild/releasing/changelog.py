"""Which version came before, whether the new one is a large enough step, and what it changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cxrbuild.artifact import kind_of, names, open_artifact, open_release
from cxrbuild.catalog.published import published_manifest
from cxrbuild.comparison import (
    KINDS,
    NOT_CHANGES,
    DatasetVersion,
    Diff,
    compare,
    needed_version,
    parse_version,
    read_version,
)
from cxrbuild.errors import CheckError
from cxrbuild.policy import Policy

_TITLE = "# Changelog\n"
# A changelog names every row that left or changed its class or part, and this many of the others.
_MOST = 20


def find_previous(
    name: str, version: str, policy: Policy, out: Path, *, back: bool = False
) -> Path | str | None:
    """Return the version before: the newest older release beside ``out``, or a newer published manifest.

    Parameters
    ----------
    name, version, policy
        The dataset, the version to come, and the policy that it is packed with.
    out
        The folder that it will be in.
    back
        Whether it may be older than the newest one.

    Returns
    -------
    Path or str or None
        The folder of a release, a published name, or nothing where this is the first.

    Raises
    ------
    CheckError
        A newer version is there already.
    CxrbuildError
        The ``build.json`` of a release beside ``out`` cannot be read.
    """
    found: dict[tuple[int, int, int], Path | str] = {}
    published = published_manifest(name).parent
    for folder in sorted(published.iterdir()) if published.is_dir() else []:
        found[parse_version(folder.name)] = f"{name}/{folder.name}"
    for folder in sorted(out.parent.glob(f"{name}-*")) if out.parent.is_dir() else []:
        if folder != out and kind_of(folder) == "release":
            document = open_release(folder).document
            if (document.dataset.name, document.policy) == (name, policy):
                found[parse_version(document.dataset.version)] = folder
    newest = max(found, default=parse_version(version))
    if newest > parse_version(version) and not back:
        raise CheckError(
            f"version {version} is lower than the newest one that is there", where=str(found[newest]),
            expected=f"{'.'.join(str(n) for n in newest)} or later", found=version,
            todo="Name a later version; or, to mend an older line, the release before it with --previous",
        )  # fmt: skip
    older = [known for known in found if known < parse_version(version)]
    return found[max(older)] if older else None


def check_version(name: str, version: str, new: DatasetVersion, previous: Path | str | None) -> Diff | None:
    """Refuse a version that is too small a step, or published with other rows.

    Returns
    -------
    Diff or None
        What changed since the previous version, nothing where this is the first.

    Raises
    ------
    CheckError
        The step is too small, or the version is published with other rows.
    """
    if published_manifest(f"{name}/{version}").is_file():
        found = compare(read_version(f"{name}/{version}"), new)
        if found.bump is not None:
            raise CheckError(
                f"version {version} is published with other rows\n{_lines(found)}",
                where=f"{name}/{version}",
                todo=f"Release it as {needed_version(version, found.bump)} or later",
            )
    if previous is None:
        return None
    found = compare(read_version(str(previous)), new)
    before = _version(previous)
    needed = needed_version(before, found.bump)
    if parse_version(version) < parse_version(needed):
        raise CheckError(
            f"version {version} is too small a step for what changed since {before}\n{_lines(found)}",
            where=str(previous), expected=f"{needed} or later", found=version,
        )  # fmt: skip
    return found


def changelog(
    version: str, date: str, notices: Mapping[str, str], previous: Path | str | None, found: Diff | None
) -> str:
    """Return the text of ``CHANGELOG.md``: this version's changes above those of the versions before.

    ``notices`` is what sets the release apart from the dataset that its recipe defines.
    """
    lines = [_TITLE, f"## {version} ({date})", ""]
    for title, words in notices.items():
        lines += [f"{title}: {words}", ""]
    if found is None:
        lines += ["First version.", ""]
    elif found.bump is None:
        if any(len(found.rows[kind]) for kind in NOT_CHANGES):
            lines += [f"The dataset is that of {_version(previous)}. It could be built from:", ""]
            lines += [_lines(found), ""]
        else:
            lines += [f"Rows, pixels and metadata are those of {_version(previous)}.", ""]
    else:
        lines += [f"Since {_version(previous)}, a {found.bump.upper()} step:", "", _lines(found), ""]
    before = Path(previous) / names.CHANGELOG if previous is not None else None
    if before is not None and before.is_file():
        lines += [before.read_text(encoding="utf-8").removeprefix(_TITLE).strip("\n"), ""]
    return "\n".join(lines)


def _version(previous: Path | str | None) -> str:
    assert previous is not None
    if isinstance(previous, str):
        return previous.rsplit("/", 1)[-1]
    return open_artifact(previous).version


def _lines(found: Diff) -> str:
    lines = []
    for kind, title in KINDS.items():
        rows = found.rows[kind]
        if rows.empty:
            continue
        most = len(rows) if kind in ("removed", "relabelled", "moved") else _MOST
        lines.append(f"- {len(rows):,} {title.replace('rows', 'row', len(rows) == 1)}:")
        lines += [
            f"  - {row['image_id']} ({row['change'] or row['split'] + ' ' + row['label']})"
            for row in rows.head(most).to_dict("records")
        ]
        if len(rows) > most:
            lines.append(f"  - and {len(rows) - most:,} more")
    lines += [f"- column {column} came" for column in found.columns_added]
    lines += [f"- column {column} left" for column in found.columns_removed]
    if found.classes_changed:
        lines.append("- classes have other numbers")
    return "\n".join(lines)
