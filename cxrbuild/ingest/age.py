"""Ages: years as a number, or DICOM's age strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FORMS = "years as 45 or 12.5, or DICOM's 045Y, 006M, 012W, 010D"

# PS3.5 6.2, AS: three digits and a unit. `45Y` has one meaning all the same; `45M` has two, months and male.
# Less than a year is given in months, weeks or days, and less than a day by none: `000Y` means not known.
_FORM = r"^(?:([0-9]+(?:\.[0-9]+)?)|([0-9]{1,3})(Y)|([0-9]{3})([MWD]))$"
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
    import pandas as pd

    # A source has few ages: parsing each once is ten times as fast.
    known = pd.Series(values.dropna().unique(), dtype="str")
    parts = known.str.extract(_FORM)
    number = parts[0].fillna(parts[1]).fillna(parts[3])
    unit = parts[2].fillna(parts[4])
    years = pd.to_numeric(number) * unit.map(_YEARS).fillna(1.0)
    nothing = unit.isin(["Y", "M", "W"]) & (years == 0)
    parsed = pd.Series(years.mask(nothing).to_numpy(), index=known, dtype="Float64")
    return values.map(parsed).astype("Float64")
