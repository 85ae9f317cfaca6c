"""The base of all models of printed documents, and the document of an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from cxrbuild.ingest.repeated_rows import DifferingValue

Counts = dict[str, dict[str, int]]


class Printed(BaseModel):
    """A document that a command prints, or a part of it."""

    model_config = ConfigDict(extra="forbid")


class ErrorFacts(Printed):
    """An error.

    Attributes
    ----------
    status
        The exit status: 1, 2 for wrong usage, 3 for a check that failed, from 128 on for a signal.
    what
        What happened.
    where
        The file, address, row or key that it happened at.
    expected
        What should have been there.
    found
        What was there.
    todo
        What to do next.
    differing_rows
        Where rows of images differ: every image and column, with the values and their places. The message
        names some of them.
    """

    status: int
    what: str
    where: str | None = None
    expected: str | None = None
    found: str | None = None
    todo: str | None = None
    differing_rows: list[DifferingValue] | None = None


class Failed(Printed):
    """What every command prints instead of its result if there is an error.

    Attributes
    ----------
    error
        The error.
    """

    error: ErrorFacts
