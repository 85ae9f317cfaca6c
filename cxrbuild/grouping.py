"""Group items that chains of pairs connect (union-find)."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
Name = TypeVar("Name", int, str)


class UnionFind(dict[T, T]):
    """Disjoint groups of items, with union by size and path compression.

    An item that was never added is a group by itself.

    Examples
    --------
    >>> groups = UnionFind[str]()
    >>> groups.union("a", "b")
    >>> groups.connected("a", "b"), groups.connected("a", "c")
    (True, False)
    """

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[T, int] = {}

    def find(self, item: T) -> T:
        """Return the representative of an item's group; it may change with the next union."""
        root = item
        while (parent := self.setdefault(root, root)) != root:
            root = parent
        while self[item] != root:
            self[item], item = root, self[item]
        return root

    def union(self, a: T, b: T) -> None:
        """Join the groups of two items."""
        large, small = self.find(a), self.find(b)
        if large == small:
            return
        sizes = self._sizes
        if sizes.get(large, 1) < sizes.get(small, 1):
            large, small = small, large
        self[small] = large
        sizes[large] = sizes.get(large, 1) + sizes.pop(small, 1)

    def connected(self, a: T, b: T) -> bool:
        """Return whether two items are in one group."""
        return self.find(a) == self.find(b)


def connected_groups(
    pairs: Iterable[tuple[Name, Name]], unsuitable: Container[Name] = ()
) -> dict[Name, Name]:
    """Name each group of connected items after its least item.

    Parameters
    ----------
    pairs
        Items that belong together. A pair of an item with itself adds the item.
    unsuitable
        Items that name a group only if it has no others.

    Returns
    -------
    dict
        For each item the least item of its group: the same at any order of the pairs.

    Examples
    --------
    >>> connected_groups([("c", "b"), ("a", "b"), ("d", "d")])
    {'c': 'a', 'b': 'a', 'a': 'a', 'd': 'd'}
    >>> connected_groups([("c", "b"), ("a", "b")], unsuitable={"a"})
    {'c': 'b', 'b': 'b', 'a': 'b'}
    """
    groups = UnionFind[Name]()
    for a, b in pairs:
        groups.union(a, b)
    least: dict[Name, tuple[bool, Name]] = {}
    for item in groups:
        root, rank = groups.find(item), (item in unsuitable, item)
        least[root] = min(least.get(root, rank), rank)
    return {item: least[groups.find(item)][1] for item in groups}
