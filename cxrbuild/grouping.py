"""Group members that chains of pairs connect (union-find)."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
Name = TypeVar("Name", int, str)


class UnionFind(dict[T, T]):
    """Disjoint groups of members, with union by size and path compression.

    A member that was never added is a group by itself.

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

    def find(self, member: T) -> T:
        """Return the representative of a member's group; it may change with the next union."""
        root = member
        while (parent := self.setdefault(root, root)) != root:
            root = parent
        while self[member] != root:
            self[member], member = root, self[member]
        return root

    def union(self, a: T, b: T) -> None:
        """Join the groups of two members."""
        large, small = self.find(a), self.find(b)
        if large == small:
            return
        sizes = self._sizes
        if sizes.get(large, 1) < sizes.get(small, 1):
            large, small = small, large
        self[small] = large
        sizes[large] = sizes.get(large, 1) + sizes.pop(small, 1)

    def connected(self, a: T, b: T) -> bool:
        """Return whether two members are in one group."""
        return self.find(a) == self.find(b)


def connected_groups(
    pairs: Iterable[tuple[Name, Name]], unsuitable: Container[Name] = ()
) -> dict[Name, Name]:
    """Name each group of connected members after its least member.

    Parameters
    ----------
    pairs
        Members that belong together. A pair of a member with itself adds the member.
    unsuitable
        Members that name a group only if it has no others.

    Returns
    -------
    dict
        For each member the least member of its group: the same at any order of the pairs.

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
    for member in groups:
        root, rank = groups.find(member), (member in unsuitable, member)
        least[root] = min(least.get(root, rank), rank)
    return {member: least[groups.find(member)][1] for member in groups}
