"""A day, as declarations write it."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator


def check_day(text: str) -> str:
    """Return a day, YYYY-MM-DD, that the calendar has.

    Raises
    ------
    ValueError
        The text is no such day.
    """
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        day = None
    # `fromisoformat` accepts 20260131 and 2026-W05-6 too.
    if day is None or day.isoformat() != text:
        raise ValueError(f"{text!r} is no day of the calendar, as YYYY-MM-DD")
    return text


def _as_text(value: Any) -> Any:
    # TOML has days of its own, written without quotes.
    return value.isoformat() if type(value) is datetime.date else value


Day = Annotated[str, BeforeValidator(_as_text), AfterValidator(check_day)]
