"""The name of a class, which is also the name of a folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 60
# pandas reads these cells of a CSV file as missing, quoted or not, unless `keep_default_na=False`.
READ_AS_MISSING = ("NA", "NULL", "NaN", "None", "nan", "null")
# Windows reserves these names for devices, with any suffix and in any case.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


def class_name_problems(names: Iterable[str]) -> list[str]:
    """Return a message for each name that not every system allows for a folder."""
    problems = []
    folded: dict[str, str] = {}
    for name in names:
        if len(name) > _LONGEST:
            problems.append(f"labels: {name!r} is longer than {_LONGEST} characters")
        elif not _is_class_name(name):
            problems.append(
                f"labels: {name!r} cannot be the name of a class, which is also a folder's name; expected "
                "letters, digits, single spaces and - _ + . ( ), first a letter or digit, last no dot or "
                "space, and no name that Windows reserves"
            )
        # Some file systems fold case, some decompose letters with accents.
        twin = folded.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if twin != name:
            problems.append(
                f"labels: {twin!r} and {name!r} differ only in case, or look the same; on some file systems "
                "they would be one folder"
            )
    return problems


def _is_class_name(name: str) -> bool:
    # Letters of any script, the marks that belong to them, and decimal digits.
    kinds = ["-" if sign in " -_+.()" else unicodedata.category(sign) for sign in name]
    return (
        all(kind == "-" or kind[0] in "LM" or kind == "Nd" for kind in kinds)
        and kinds[:1] not in ([], ["-"])
        and kinds[0][0] != "M"
        and not name.endswith((".", " "))
        and "  " not in name
        and not _DEVICES.fullmatch(name)
    )
