"""Keep the matches of a build's images, so that another audit of the same images does not search again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.auditing.duplicates import Match
from cxrbuild.files import json_bytes, write_json
from cxrbuild.versions import program_versions

_FILE = "matches.json"


def read_matches(state: Path, digests: Sequence[str]) -> tuple[list[Match], DuplicateSearch] | None:
    """Return the matches that an audit of the same images recorded; ``None`` where there was none.

    Matches follow from the bytes of the images, their order, the program's code and its libraries. A record
    of anything else, and a damaged one, is ignored.

    Parameters
    ----------
    state
        The folder of the audit's state.
    digests
        The SHA-256 of the images that are compared, in order; their bytes were checked.
    """
    try:
        content = json.loads((state / _FILE).read_bytes())
        result = content["result"]
        if content["of"] != _key(digests) or content["sha256"] != _digest(result):
            return None
        matches = [
            Match(a, b, kind, similarity, tuple(changes))
            for a, b, kind, similarity, changes in result["matches"]
        ]
        return matches, DuplicateSearch.model_validate(result["search"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def record_matches(
    state: Path, digests: Sequence[str], matches: Sequence[Match], search: DuplicateSearch
) -> None:
    """Record the matches of images.

    Parameters
    ----------
    state
        The folder of the audit's state.
    digests
        The SHA-256 of the images that were compared, in order.
    matches, search
        What was found, and how completely it was searched.
    """
    result = {
        "matches": [[one.a, one.b, one.kind, one.similarity, list(one.changes)] for one in matches],
        "search": search.model_dump(),
    }
    write_json(state / _FILE, {"of": _key(digests), "sha256": _digest(result), "result": result})


def _key(digests: Sequence[str]) -> str:
    return _digest([program_versions(), list(digests)])


def _digest(content: Any) -> str:
    return hashlib.sha256(json_bytes(content)).hexdigest()
