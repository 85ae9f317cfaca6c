"""Which images a release embeds, and why it withholds the others' pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cxrbuild.catalog.license import UNKNOWN, read_licenses

if TYPE_CHECKING:
    import pandas as pd

Policy = Literal["public", "private"]

# In the order in which they are looked for: the first one is the row's.
WITHHELD = {
    "identifier": "A readable name or birth date is seen on the film.",
    "license_unknown": "No licence is stated for the image.",
    "license_not_listed": "The licence is not in the table of licences, so what it allows is not known.",
    "no_redistribution": "The licence does not say that copies may be passed on.",
    "no_adaptation": "The licence forbids adaptations, and conversion may be one.",
    "unseen": "Nobody has looked yet whether the film shows a name or birth date.",
}


def withheld(records: pd.DataFrame, policy: Policy) -> pd.Series:
    """Return for each row why its pixels are withheld, null where they are not.

    A private release withholds nothing. A public one embeds an image only where its licence allows
    redistribution in converted form and no reviewer saw a name or birth date on it, or has yet to look. Films
    of a source that nobody was asked to review have no mark, and go by their licence.

    Parameters
    ----------
    records
        Rows of the table.
    policy
        ``public`` or ``private``.
    """
    import pandas as pd

    why = pd.Series(None, index=records.index, dtype="str")
    if policy == "private":
        return why
    licenses = read_licenses()
    license_of = records["license"].fillna(UNKNOWN)
    found = {
        "identifier": records["review"].eq("identifier"),
        "license_unknown": license_of.eq(UNKNOWN),
        "license_not_listed": ~license_of.isin([UNKNOWN, *licenses]),
        "no_redistribution": license_of.map(
            {name: not licence.redistribution for name, licence in licenses.items()}
        ).eq(True),
        "no_adaptation": license_of.map(
            {name: not licence.adaptation for name, licence in licenses.items()}
        ).eq(True),
        "unseen": records["review"].eq("unseen"),
    }
    for reason in WITHHELD:
        why = why.mask(why.isna() & found[reason].fillna(value=False), reason)
    return why
