"""No patient in two splits, exact counts, and as few moves as they allow."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrbuild.catalog import Link
from cxrbuild.catalog.split import Split
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.records import conform
from cxrbuild.split import _choose_exactly, choose_groups, groups_in_several_splits, split_records


def images(*patients: tuple[str, str | None, int], label: str = "A") -> pd.DataFrame:
    rows = [
        {"source": source, "patient_id": patient, "label": label, "image_id": f"{source}-{patient}-{n}",
         "source_path": f"{patient}/{n}.png"}
        for source, patient, count in patients
        for n in range(count)
    ]  # fmt: skip
    return conform(pd.DataFrame(rows))


def split(records: pd.DataFrame, links: list[Link] | None = None, **keys: object) -> pd.DataFrame:
    return split_records(records, Split.model_validate({"salt": "s", **keys}), links or [])


def random_images(seed: int, patients: int = 300) -> pd.DataFrame:
    draw = random.Random(seed)
    sources = ["one"] * 8 + ["two"] * 2 + ["three"]
    return images(*((draw.choice(sources), str(n), draw.choice((1, 1, 1, 2, 3, 7))) for n in range(patients)))


def link(a: tuple[str, str], b: tuple[str, str]) -> Link:
    return Link(a, b, "same patient", "")


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_exact_groups_whole_and_sources_in_proportion(seed: int) -> None:
    records = random_images(seed)
    done = split(records, test={"count": {"A": 100}})
    test = done[done["split"] == "test"]
    assert len(test) == 100
    assert groups_in_several_splits(done).empty
    assert (done.groupby(["source", "patient_id"])["split"].nunique() == 1).all()
    have, got = Counter(records["source"]), Counter(test["source"])
    for source, n in have.items():
        assert abs(got[source] - 100 * n / len(records)) <= 2


def test_the_order_of_the_rows_does_not_matter() -> None:
    records = random_images(1)
    one = split(records, test={"count": {"A": 100}}).set_index("image_id")["split"]
    other = split(records.sample(frac=1, random_state=3).reset_index(drop=True), test={"count": {"A": 100}})
    assert one.to_dict() == other.set_index("image_id")["split"].to_dict()


def test_a_new_patient_moves_few_others_under_a_count_and_none_under_a_share() -> None:
    moves = {"count": [], "share": []}
    for seed in range(10):
        records = random_images(seed)
        more = conform(pd.concat([records, images(("one", "new", 2))], ignore_index=True))
        for kind, drawn in (("count", {"count": {"A": 100}}), ("share", {"share": 0.2})):
            before = split(records, test=drawn).set_index("image_id")["split"]
            after = split(more, test=drawn).set_index("image_id")["split"].reindex(before.index)
            moved = records.set_index("image_id").loc[before[before != after].index, "patient_id"].nunique()
            moves[kind].append(moved)
    assert moves["share"] == [0] * 10
    assert max(moves["count"]) <= 8
    assert sum(moves["count"]) <= 30


def test_a_new_image_of_a_known_patient_goes_to_the_split_of_the_patient() -> None:
    records = random_images(2)
    before = split(records, test={"share": 0.3})
    patient = before.iloc[5]
    one_more = images((patient["source"], patient["patient_id"], 9)).tail(1)
    after = split(conform(pd.concat([records, one_more], ignore_index=True)), test={"share": 0.3})
    assert after.iloc[-1]["split"] == patient["split"]


def test_links_join_patients_of_different_sources_and_chains_of_them() -> None:
    records = images(("a", "1", 1), ("b", "1", 1), ("c", "1", 1), ("d", "1", 1))
    links = [link(("a", "1/0.png"), ("b", "1/0.png")), link(("c", "1/0.png"), ("b", "1/0.png"))]
    done = split(records, links)
    assert done["group"].tolist() == ["a:1", "a:1", "a:1", "d:1"]
    with pytest.raises(DeclarationError, match=r"b 9/0\.png"):
        split(records, [link(("a", "1/0.png"), ("b", "9/0.png"))])


@pytest.mark.parametrize("row", ["there", "deleted"])
def test_a_withdrawn_image_names_no_group_and_still_connects_the_others(row: str) -> None:
    records = images(("a", "2", 1), ("a", "3", 2), ("b", "1", 1), ("b", "9", 1))
    links = [link(("a", "2/0.png"), ("a", "3/0.png")), link(("b", "1/0.png"), ("b", "9/0.png"))]
    before = split(records, links, test={"share": 0.5}).set_index("source_path")
    assert before["group"].to_dict() == {
        "2/0.png": "a:2", "3/0.png": "a:2", "3/1.png": "a:2", "1/0.png": "b:1", "9/0.png": "b:1",
    }  # fmt: skip
    withdrawn = records["source_path"].isin(["3/0.png", "1/0.png"])
    records.loc[withdrawn, "exclusion"] = "withdrawn"
    if row == "deleted":
        records.loc[withdrawn, "patient_id"] = None
    after = split(records, links, test={"share": 0.5}).set_index("source_path")
    # Without its row nothing says that the withdrawn image connected the two images of patient 3.
    other = "a:2" if row == "there" else "a:3"
    assert after["group"].to_dict() == {
        "2/0.png": "a:2", "3/0.png": "a:2", "3/1.png": other, "1/0.png": "b:9", "9/0.png": "b:9",
    }  # fmt: skip
    assert after.loc["2/0.png", "split"] == before.loc["2/0.png", "split"]


def test_a_file_listed_under_two_patients_joins_them() -> None:
    records = images(("a", "1", 2), ("a", "2", 2))
    records.loc[2, "source_path"] = "1/0.png"
    records.loc[2, "exclusion"] = "listed_twice"
    assert split(records)["group"].nunique() == 1


def test_an_image_without_a_patient_is_a_group_by_itself() -> None:
    assert split(images(("a", None, 3)))["group"].nunique() == 3


def test_linked_images_follow_a_declared_split() -> None:
    records = images(("m", "1", 1), ("m", "2", 1), ("a", "1", 2), ("a", "2", 2))
    records.loc[records["source"] == "m", "upstream_split"] = ["test", "val"]
    words = {"declared": [{"source": "m", "map": {"test": "test", "val": "train"}}]}
    done = split(records, [link(("m", "1/0.png"), ("a", "2/1.png"))], **words)
    assert done["split"].tolist() == ["test", "train", "train", "train", "test", "test"]
    with pytest.raises(DeclarationError, match="val"):
        split(records, declared=[{"source": "m", "map": {"test": "test"}}])


def test_a_group_that_a_source_declares_in_two_splits_is_reported() -> None:
    records = images(("m", "1", 2))
    records["upstream_split"] = ["test", "train"]
    done = split(records, declared=[{"source": "m", "map": {"test": "test", "train": "train"}}])
    assert groups_in_several_splits(done).to_dict() == {"m:1": "test, train"}


def test_a_count_includes_images_that_follow_a_declared_split() -> None:
    records = images(("m", "1", 1), *(("a", str(n), 1) for n in range(20)))
    records.loc[0, ["upstream_split", "label"]] = ["test", "B"]
    words = {"declared": [{"source": "m", "map": {"test": "test"}}]}
    joined = [link(("m", "1/0.png"), ("a", "3/0.png"))]
    done = split(records, joined, test={"count": {"A": 5}}, **words)
    assert Counter(done.loc[done["split"] == "test", "label"]) == {"A": 5, "B": 1}
    assert done.loc[done["patient_id"] == "3", "split"].tolist() == ["test"]


def test_validation_is_drawn_from_train_by_group() -> None:
    records = random_images(4)
    plain = split(records, test={"count": {"A": 60}})
    done = split(records, test={"count": {"A": 60}}, validation={"count": {"A": 50}})
    assert Counter(done["split"])["validation"] == 50
    assert groups_in_several_splits(done).empty
    assert (done["split"] == "test").tolist() == (plain["split"] == "test").tolist()
    shared = split(records, test={"count": {"A": 60}}, validation={"share": 0.2})
    assert 0.1 < (shared["split"] == "validation").mean() < 0.3


def test_excluded_rows_have_a_group_and_no_split() -> None:
    records = images(("a", "1", 2))
    records.loc[1, "exclusion"] = "ct"
    done = split(records)
    assert done["split"].isna().tolist() == [False, True]
    assert done["group"].notna().all()


def test_exactness_is_found_where_first_fit_fails_and_refused_where_there_is_none() -> None:
    sizes = {f"g{n}": {"a": 3} for n in range(9)} | {"pair": {"a": 2}}
    for count in (2, 3, 5, 6, 8, 29):
        chosen = choose_groups(sizes, count, "s", "A")
        assert sum(sizes[group]["a"] for group in chosen) == count
    for count in (1, 4, 28, 30):
        with pytest.raises(CxrbuildError, match=f"exactly {count} images? of A"):
            choose_groups(sizes, count, "s", "A")


def test_a_group_of_two_sources_counts_with_both() -> None:
    groups = {f"x{n}": {"a": 1, "b": 1} for n in range(10)} | {f"y{n}": {"a": 1} for n in range(10)}
    chosen = choose_groups(groups, 9, "s", "A")
    assert sum(sum(groups[group].values()) for group in chosen) == 9


def choose_by_table(order: Sequence[str], size: Mapping[str, int], count: int) -> list[str] | None:
    """Choose as `_choose_exactly` does, from a table: for each place, all sums of the groups from it on."""
    sums = [{0}]
    for group in reversed(order):
        sums.append(sums[-1] | {size[group] + one for one in sums[-1]})
    sums.reverse()
    if count not in sums[0]:
        return None
    chosen = []
    for place, group in enumerate(order):
        if count - size[group] in sums[place + 1]:
            chosen.append(group)
            count -= size[group]
    return chosen


@given(
    st.lists(st.integers(1, 9), max_size=14) | st.lists(st.sampled_from((2, 4, 7)), max_size=25),
    st.integers(0, 70),
)
def test_the_exact_choice_is_the_one_that_a_table_of_all_sums_gives(sizes: list[int], count: int) -> None:
    order = [f"g{place}" for place in range(len(sizes))]
    size = dict(zip(order, sizes, strict=True))
    expected = choose_by_table(order, size, count)
    chosen = _choose_exactly(order, size, count)
    assert chosen == expected if expected is None else sorted(chosen or (), key=order.index) == expected


def test_an_exact_choice_among_many_groups_keeps_no_table_of_groups_and_sums() -> None:
    # An odd count needs the only patient with three images. A table of groups and sums takes a gigabyte.
    size = {f"g{n}": 2 for n in range(100_000)} | {"three": 3}
    order = list(size)
    tracemalloc.start()
    chosen = _choose_exactly(order, size, 99_999)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert chosen is not None
    assert set(chosen) == {*order[:49_998], "three"}
    assert peak < 30e6
