"""Find the previous version, check that the new version is large enough, and write the changelog."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from cxrbuild.artifact import kind_of, names, open_artifact, open_release
from cxrbuild.artifact.published import published_manifest
from cxrbuild.comparison import (
    DatasetVersion,
    Diff,
    compare,
    markdown,
    read_version,
    summary,
)
from cxrbuild.contents import Contents
from cxrbuild.documents import CHANGELOG_TITLE, changelog_head
from cxrbuild.errors import CheckError
from cxrbuild.policy import Policy
from cxrbuild.releasing.advice import advise_version
from cxrbuild.shell import join
from cxrbuild.version_numbers import needed_version, parse_version

# A line of a changelog that is about an image: a changed row, or a correction.
_OF_IMAGE = re.compile(r"  - (?:(?P<row>\S+) \(|corrections\.(?P<corrected>\S+)\.\w+: )")
_WITHDRAWN = re.compile(r"\): withdrawn\b")
# The most rows of a kind that an error lists; `diff` and a changelog list all.
_MOST = 3


def find_previous(
    name: str, version: str, policy: Policy, out: Path, *, back: bool = False
) -> Path | str | None:
    """Return the previous version: the newest older release next to ``out``, or a newer published manifest.

    Parameters
    ----------
    name, version, policy
        The dataset, the new version, and its policy.
    out
        The folder of the new version.
    back
        Whether the new version may be older than the newest one.

    Returns
    -------
    Path or str or None
        The folder of a release, a published name, or ``None`` for the first version.

    Raises
    ------
    CheckError
        A newer version exists.
    CxrbuildError
        The ``build.json`` of a release next to ``out`` cannot be read.
    """
    found: dict[tuple[int, int, int], Path | str] = {}
    published = published_manifest(name).parent
    for folder in sorted(published.iterdir()) if published.is_dir() else []:
        found[parse_version(folder.name)] = f"{name}/{folder.name}"
    # See `versioned_name`.
    stem = re.sub(r"-\d+-\d+-\d+$", "", name)
    for folder in sorted(out.parent.glob(f"{stem}-*")) if out.parent.is_dir() else []:
        if folder != out and kind_of(folder) == "release":
            document = open_release(folder).document
            if (document.dataset.name, document.policy) == (name, policy):
                found[parse_version(document.dataset.version)] = folder
    newest = max(found, default=parse_version(version))
    if newest > parse_version(version) and not back:
        raise CheckError(
            f"version {version} is lower than the newest version", where=str(found[newest]),
            expected=f"{'.'.join(str(n) for n in newest)} or later", found=version,
            todo="Name a later version; to fix an older line, name its last release with --previous",
        )  # fmt: skip
    older = [known for known in found if known < parse_version(version)]
    return found[max(older)] if older else None


def check_version(name: str, version: str, new: DatasetVersion, previous: Path | str | None) -> Diff | None:
    """Require a version that is large enough and was not published with other rows.

    Returns
    -------
    Diff or None
        What changed since the previous version, ``None`` for the first version.

    Raises
    ------
    CheckError
        The version is too small, or was published with other rows.
    """
    if published_manifest(f"{name}/{version}").is_file():
        found = compare(read_version(f"{name}/{version}"), new)
        if found.bump is not None:
            raise CheckError(
                f"version {version} was published with other rows\n{summary(found, _MOST)}",
                where=f"{name}/{version}",
                todo=_advise(needed_version(version, found.bump), f"{name}/{version}", new),
            )
    if previous is None:
        return None
    found = compare(read_version(str(previous)), new)
    before = _version(previous)
    needed = needed_version(before, found.bump)
    if parse_version(version) < parse_version(needed):
        raise CheckError(
            f"version {version} is too small for what changed since {before}\n{summary(found, _MOST)}",
            where=str(previous), expected=f"{needed} or later", found=version,
            todo=_advise(needed, str(previous), new),
        )  # fmt: skip
    return found


def _advise(needed: str, previous: str, new: DatasetVersion) -> str:
    """Return what to do about a version that is too small: `release` takes that of the recipe alone."""
    command = join(["cxrbuild", "diff", previous, new.name])
    how = advise_version(Path(new.name), new.recipe, needed, or_later=True)
    return f"{how}; `{command}` lists every change"


def changelog(
    contents: Contents, previous: Path | str | None, found: Diff | None, withdrawn: Collection[str] = ()
) -> str:
    """Return the text of ``CHANGELOG.md``: this version's changes above those of the versions before.

    Parameters
    ----------
    contents
        What the release has.
    previous
        The previous version.
    found
        What changed since; ``None`` for the first version.
    withdrawn
        The images that were withdrawn: the text of the versions before keeps their ids alone.
    """
    lines = [changelog_head(contents)]
    if found is None:
        lines += ["First version.", ""]
    elif found.bump is None:
        if len(found.rows["missing"]):
            lines += [f"No image changed its class or split since {_version(previous)}:", ""]
            lines += [markdown(found), ""]
        elif len(found.rows["other_bytes"]):
            lines += [f"The dataset is the same as {_version(previous)}. Its files differ:", ""]
            lines += [markdown(found), ""]
        else:
            but = ", but for `previous_split`" if found.held_otherwise else ""
            lines += [f"Rows, pixels and metadata are the same as in {_version(previous)}{but}.", ""]
            lines += [text, ""] if (text := markdown(found)) else []
    else:
        step = "Changes" if found.before_first else f"{found.bump.upper()} changes"
        lines += [f"{step} since {_version(previous)}:", "", markdown(found), ""]
    before = Path(previous) / names.CHANGELOG if previous is not None else None
    if before is not None and before.is_file():
        text = before.read_text(encoding="utf-8").removeprefix(CHANGELOG_TITLE).strip("\n")
        lines += [_without_withdrawn(text, withdrawn), ""]
    return "\n".join(lines)


def _without_withdrawn(text: str, withdrawn: Collection[str]) -> str:
    """Return the text of former versions; of withdrawn images it keeps that they were withdrawn, and the ids.

    Parameters
    ----------
    text
        The text, as `markdown` writes it.
    withdrawn
        The ids of the images.
    """
    lines = []
    for line in text.split("\n"):
        named = _OF_IMAGE.match(line)
        image = named and (named["row"] or named["corrected"])
        if image in withdrawn and not _WITHDRAWN.search(line):
            lines.append(f"  - {image} (withdrawn since)")
        else:
            lines.append(line)
    return "\n".join(lines)


def _version(previous: Path | str | None) -> str:
    assert previous is not None
    if isinstance(previous, str):
        return previous.rsplit("/", 1)[-1]
    return open_artifact(previous).version
