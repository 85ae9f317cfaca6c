import random

from cxrbuild.grouping import UnionFind, connected_groups


def test_connected_groups_are_named_after_their_least_member():
    pairs = [("c", "b"), ("e", "d"), ("a", "b"), ("f", "f")]
    expected = {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d", "f": "f"}
    assert connected_groups(pairs) == expected
    assert connected_groups(reversed(pairs)) == expected


def test_connected_groups_agree_with_a_search_of_the_graph():
    draw = random.Random(7)
    pairs = [(draw.randrange(300), draw.randrange(300)) for _ in range(200)]
    neighbours: dict[int, set[int]] = {}
    for a, b in pairs:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    expected = {}
    for member in neighbours:
        reached, todo = {member}, [member]
        while todo:
            for other in neighbours[todo.pop()] - reached:
                reached.add(other)
                todo.append(other)
        expected[member] = min(reached)
    assert connected_groups(pairs) == expected


def test_a_chain_of_a_million_members_is_one_group():
    groups = UnionFind[int]()
    for member in range(1_000_000):
        groups.union(member, member + 1)
    assert groups.connected(0, 1_000_000)


def test_a_member_that_was_never_added_is_connected_with_itself_alone():
    groups = UnionFind[str]()
    groups.union("a", "b")
    assert groups.connected("c", "c")
    assert not groups.connected("a", "c")
