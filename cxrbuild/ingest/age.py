"""Ages: years as a number, or DICOM's age strings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FORMS = "years as 45 or 12.5, or DICOM's 045Y, 006M, 012W, 010D"

# PS3.5 6.2, AS: three digits and a unit. `45Y` has one meaning all the same; `45M` has two, months and male.
_FORM = re.compile(r"(?P<years>[0-9]+(?:\.[0-9]+)?)|(?P<number>[0-9]{1,3}(?=Y)|[0-9]{3})(?P<unit>[YMWD])")
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def parse_ages(values: pd.Series) -> pd.Series:
    """Return ages in years, null where a value has none of the forms.

    Parameters
    ----------
    values
        Text.

    Examples
    --------
    >>> import pandas as pd
    >>> parse_ages(pd.Series(["45", "006M", "12,5", "45M", "000Y"], dtype="str")).tolist()
    [45.0, 0.5, <NA>, <NA>, <NA>]
    """
    # A source has few ages: each is parsed once.
    return values.map({one: _parse(one) for one in values.dropna().unique()}).astype("Float64")


def _parse(text: str) -> float | None:
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    if found["years"]:
        return float(found["years"])
    age, unit = int(found["number"]) * _YEARS[found["unit"]], found["unit"]
    # Less than a year is given in months, weeks or days, and less than a day by none: `000Y` means not known.
    return None if age == 0 and unit != "D" else age
