"""The version numbers of datasets: MAJOR.MINOR.PATCH."""

from __future__ import annotations

import re
from typing import Literal

from cxrbuild.errors import CxrbuildError

Bump = Literal["major", "minor", "patch"]


def needed_version(old: str, bump: Bump | None) -> str:
    """Return the lowest version that may follow.

    Before 1.0.0 anything may change at any step: https://semver.org/#spec-item-4

    Examples
    --------
    >>> needed_version("1.4.2", "minor")
    '1.5.0'
    >>> needed_version("0.1.0", "major")
    '0.1.1'
    """
    major, minor, patch = parse_version(old)
    if major == 0 and bump:
        return f"0.{minor}.{patch + 1}"
    following = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }
    return ".".join(str(n) for n in (following[bump] if bump else (major, minor, patch)))


def versioned_name(name: str, version: str) -> str:
    """Return the name of a file or folder of a version of a dataset, whose own name can end in the version.

    Examples
    --------
    >>> versioned_name("mine", "1.0.0"), versioned_name("mine-1-0-0", "1.0.0")
    ('mine-1.0.0', 'mine-1.0.0')
    """
    return f"{name.removesuffix('-' + version.replace('.', '-'))}-{version}"


def parse_version(version: str) -> tuple[int, int, int]:
    """Return the three numbers of a version.

    Raises
    ------
    CxrbuildError
        The text is not MAJOR.MINOR.PATCH.
    """
    match = re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", version)
    if match is None:
        raise CxrbuildError(
            "not a version", expected="MAJOR.MINOR.PATCH, such as 1.0.0", found=version,
            todo="Write three numbers with dots between them",
        )  # fmt: skip
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)
