import pandas as pd
import pytest

from cxrbuild.records import differs


@pytest.mark.parametrize(
    ("dtype", "one", "other"),
    [("str", "a", "b"), ("Int64", 1, 2), ("Float64", 0.5, 0.25), ("boolean", True, False)],
)
def test_two_nulls_are_equal_and_a_null_differs_from_a_value(dtype, one, other):
    a = pd.Series([one, one, one, None, None], dtype=dtype)
    b = pd.Series([one, other, None, one, None], dtype=dtype)
    assert differs(a, b).tolist() == [False, True, True, True, False]
    assert differs(a, b).dtype == "bool"
