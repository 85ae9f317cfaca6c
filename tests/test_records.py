from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cxrbuild.errors import CxrbuildError
from cxrbuild.records import conform, differs, read_records, write_records


@pytest.mark.parametrize(
    ("dtype", "one", "other"),
    [("str", "a", "b"), ("Int64", 1, 2), ("Float64", 0.5, 0.25), ("boolean", True, False)],
)
def test_two_nulls_are_equal_and_a_null_differs_from_a_value(dtype, one, other):
    a = pd.Series([one, one, one, None, None], dtype=dtype)
    b = pd.Series([one, other, None, one, None], dtype=dtype)
    assert differs(a, b).tolist() == [False, True, True, True, False]
    assert differs(a, b).dtype == "bool"


def test_a_table_is_read_as_written(tmp_path: Path):
    rows = conform(pd.DataFrame({"image_id": ["a", "b"], "label": ["Normal", None], "width": [3, None]}))
    write_records(tmp_path / "table.parquet", rows)
    pd.testing.assert_frame_equal(read_records(tmp_path / "table.parquet"), rows)


def test_columns_of_a_table_that_was_read_can_be_changed(tmp_path: Path) -> None:
    rows = conform(pd.DataFrame({"image_id": ["a", "b"], "label": ["x", "y"], "fold": [0, 1]}))
    write_records(tmp_path / "table.parquet", rows)
    for table in (read_records(tmp_path / "table.parquet"), conform(rows)):
        changes = {"image_id": "c", "label": "z", "fold": 2, "width": 8, "patient_age": 0.5}
        for column, value in changes.items():
            table.loc[0, column] = value
        assert table.loc[0, ["image_id", "fold", "width"]].tolist() == ["c", 2, 8]
        assert table["height"].isna().all()
    assert rows["image_id"].tolist() == ["a", "b"]
    assert rows["fold"].tolist() == [0, 1]


def test_what_is_no_table_of_images_is_an_error(tmp_path: Path):
    path = tmp_path / "table.parquet"
    with pytest.raises(CxrbuildError, match="no such table"):
        read_records(path)
    path.write_text("image_id\na\n")
    with pytest.raises(CxrbuildError, match=r"table\.parquet: not a Parquet file"):
        read_records(path)
    pd.DataFrame({"name": ["a"], "label": ["Normal"]}).to_parquet(path)
    with pytest.raises(CxrbuildError, match=r"Expected: a column image_id\. Found: name, label"):
        read_records(path)


def test_a_write_that_fails_keeps_the_former_table(tmp_path: Path):
    path = tmp_path / "table.parquet"
    write_records(path, conform(pd.DataFrame({"image_id": ["a"]})))
    before = path.read_bytes()
    with pytest.raises(KeyError, match="label"):
        write_records(path, pd.DataFrame({"image_id": ["b"]}))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["table.parquet"]


def test_a_large_table_is_written_in_row_groups_and_read_whole_or_by_column(tmp_path: Path) -> None:
    rows = pd.DataFrame({"image_id": [f"a_{n:010x}" for n in range((1 << 17) + 1)], "source": "a"})
    path = tmp_path / "ledger.parquet"
    write_records(path, conform(rows))
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [1 << 17, 1]
    assert read_records(path)["image_id"].equals(conform(rows)["image_id"])
    assert list(read_records(path, ["image_id", "source"]).columns) == ["image_id", "source"]
    write_records(path, conform(rows[:0]))
    assert len(read_records(path)) == 0
