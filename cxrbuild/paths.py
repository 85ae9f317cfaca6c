r"""Names of files in metadata: one rule for when two spellings are one path.

Metadata is often written on another system than the files: with ``\`` for ``/``, with ``./`` in front, with
``//``, with blanks around a name, with letters and accents composed or decomposed (Unicode NFC and NFD), or
in another case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cxrbuild.errors import nearest
from cxrbuild.words import compose


def canonical_path(path: str) -> str:
    r"""Return a path without the differences that say nothing: ``\``, ``./``, ``//``, outer blanks, NFD.

    Examples
    --------
    >>> canonical_path(".\\images//a.png ")
    'images/a.png'
    """
    parts = (part.strip() for part in path.replace("\\", "/").split("/"))
    return compose("/".join(part for part in parts if part not in ("", ".")))


class PathIndex:
    """The paths of files, to find those that a spelling can mean.

    Parameters
    ----------
    paths
        The paths as the files have them.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._canonical: dict[str, list[str]] | None = None
        self._folded: dict[str, list[str]] = {}

    @property
    def paths(self) -> frozenset[str]:
        """The paths."""
        return self._paths

    def find(self, spelling: str, *, match_case: bool = False) -> list[str]:
        """Return the paths that a spelling can mean: none, one, or several that differ only in case.

        The path itself is preferred, then those of the same canonical form, then those that differ in case.

        Parameters
        ----------
        spelling
            A path as metadata has it.
        match_case
            Whether another case is another path.

        Examples
        --------
        >>> index = PathIndex(["images/a.png", "images/B.PNG"])
        >>> index.find("./images/b.png"), index.find("images/b.png", match_case=True)
        (['images/B.PNG'], [])
        """
        if spelling in self._paths:
            return [spelling]
        if self._canonical is None:  # made on demand: mostly every spelling is a path itself
            self._canonical = {}
            for path in sorted(self._paths):
                canonical = canonical_path(path)
                self._canonical.setdefault(canonical, []).append(path)
                self._folded.setdefault(_fold(canonical), []).append(path)
        canonical = canonical_path(spelling)
        found = self._canonical.get(canonical, [])
        return found if found or match_case else self._folded.get(_fold(canonical), [])

    def describe(self, spelling: str) -> str:
        """Return a path that no file has, with the files that differ from it in spelling alone.

        Examples
        --------
        >>> PathIndex(["images/B.PNG"]).describe("./images/b.png")
        './images/b.png (the file is images/B.PNG)'
        """
        found = self.find(spelling)
        return f"{spelling} (the file is {' or '.join(found)})" if found else spelling

    def describe_unknown(self, spelling: str) -> str:
        """Return a path that no file has, with the file that it may mean: another spelling, or the nearest.

        Examples
        --------
        >>> PathIndex(["images/007.png"]).describe_unknown("images/7.png")
        'images/7.png (the nearest path is images/007.png)'
        """
        if self.find(spelling):
            return self.describe(spelling)
        near = _nearest_path(spelling, self._paths)
        return f"{spelling} (the nearest path is {near})" if near else spelling


def _nearest_path(path: str, paths: Iterable[str]) -> str | None:
    """Return the path that is most like a misspelt one: lost zeros and another folder come first."""
    paths = sorted(paths)
    for plain in (_without_zeros, lambda one: one.rpartition("/")[2].casefold()):
        if same := [other for other in paths if plain(other) == plain(path)]:
            return same[0]
    return nearest(path, paths)


def _without_zeros(path: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", path.casefold())


def _fold(path: str) -> str:
    return compose(path.casefold())
