"""Checks: what `verify`, `audit` and `audit --list` have in common, and how another package adds one.

A check is one function with an id, a sentence, a limit, and what pages and documents need to describe it.
Each command lists its own checks; those of other packages are found by entry points in the group
``cxrbuild.checks``: the name is the check's id, the object a `Check`. No other module lists ids of checks to
describe them.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any, Generic, Literal, TypeVar, get_args

from cxrbuild.errors import CxrbuildError, count_of, printable
from cxrbuild.plugins import find_entry_points

_logger = logging.getLogger(__name__)

Command = Literal["verify", "audit", "audit --list"]
Status = Literal["passed", "failed", "reported", "not applicable"]
# The question under which a page shows what checks of an audit found.
Topic = Literal["leakage", "duplicates", "confounding"]
# Duplicates in two splits, with two labels, of patients who are not linked, or all.
CountedPairs = Literal["split", "label", "unlinked", "all"]
Context = TypeVar("Context")

GROUP = "cxrbuild.checks"
# The module that lists a command's own checks. It is in a higher layer, and is imported when it is needed.
_REGISTRIES: Mapping[Command, str] = {
    "verify": "cxrbuild.verification.registry",
    "audit": "cxrbuild.auditing.registry",
    "audit --list": "cxrbuild.lists.registry",
}
# Unless a check is registered for fewer.
EVERY_KIND = frozenset({"build", "release", "images"})


class NotApplicable(Exception):  # noqa: N818 - not an error: the check has nothing to look at
    """A check cannot be made of this folder; its message states why."""


class _Failed(Exception):  # noqa: N818 - becomes a finding
    """The code of another package raised an error instead of making its check; the message says which."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes
    ----------
    message
        What it is.
    file
        The file, from the folder that is checked; ``None`` where it is not about one file.
    row
        The image, split, class or key; ``None`` where it is about the file as a whole.
    data
        The same as values for JSON, where a check has more than file, row and message.
    check
        The id of the check; `evaluate` fills it.
    """

    message: str
    file: str | None = None
    row: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    check: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.row, self.message) if part)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        return {"check": self.check, "file": self.file, "row": self.row, "message": self.message, **self.data}


@dataclass(frozen=True)
class Measurement:
    """What a check found where the number of its findings is not the value that the limit is for.

    Attributes
    ----------
    value
        The value that the limit is for; ``None`` where the check does not apply.
    message
        The value in a sentence.
    findings
        Each thing found.
    """

    value: float | None
    message: str
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Check(Generic[Context]):
    """A check.

    Attributes
    ----------
    id
        Its name in JSON, in a recipe's limits and as an entry point.
    sentence
        What holds where the check passes.
    run
        The function: takes the command's context, and yields findings or returns a measurement.
    command
        The command that makes it.
    limit
        The highest value that passes; ``None`` where the check only reports.
    applies_to
        The kinds of folders that it is for: ``build``, ``release``, ``images``.
    topic
        Of `audit`: the card at the top of a page that states what it found, ``leakage``, ``duplicates`` or
        ``confounding``; ``None`` for that of other checks.
    counted_pairs
        Of `audit`: which duplicates its findings are, if they are exactly these: ``split`` (in two splits),
        ``label`` (with two labels), ``unlinked`` (of patients who are not linked) or ``all``. `verify`
        compares them with the pairs of the audit.
    shortcut
        Of `audit`: what it looks at that a network can learn instead of the disease.
    next_step
        Of `audit` and `audit --list`: what to do where it found something.
    """

    id: str
    sentence: str
    run: Callable[[Context], Iterable[Finding] | Measurement]
    command: Command
    limit: float | None = 0
    applies_to: frozenset[str] = EVERY_KIND
    topic: Topic | None = None
    counted_pairs: CountedPairs | None = None
    shortcut: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Result:
    """A check, what it found, and whether that is within the limit."""

    id: str
    sentence: str
    limit: float | None
    value: float | None
    status: Status
    message: str
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it, without its findings."""
        return {
            "id": self.id, "sentence": self.sentence, "limit": self.limit, "value": self.value,
            "status": self.status, "message": self.message,
        }  # fmt: skip


def evaluate(check: Check[Context], context: Context, *, limit: float | None) -> Result:
    """Make a check, and compare its value with a limit.

    A check of another package that raises an error failed, whatever its limit: the other checks are made.

    Parameters
    ----------
    check
        The check.
    context
        What the command's checks share.
    limit
        The highest value that passes; ``None`` to report only.
    """
    try:
        found = check.run(context)
        if not isinstance(found, Measurement):
            findings = list(found)
            message = count_of(len(findings), "finding") if findings else "no finding"
            found = Measurement(len(findings), message, findings)
    except NotApplicable as reason:
        found = Measurement(None, str(reason))
    except _Failed as error:
        found, limit = Measurement(1, str(error), [Finding(str(error))]), 0
    status = status_of(found.value, limit)
    _logger.info("check %s: %s (%s)", check.id, status, found.message)
    return Result(
        id=check.id,
        sentence=check.sentence,
        limit=limit,
        value=found.value,
        status=status,
        message=found.message,
        findings=tuple(replace(finding, check=check.id) for finding in found.findings),
    )


def status_of(value: float | None, limit: float | None) -> Status:
    """Return the status of a check with a value and a limit, either of which may be ``None``."""
    if value is None:
        return "not applicable"
    if limit is None:
        return "reported"
    return "passed" if value <= limit else "failed"


def registered_checks(command: Command, built_in: Iterable[Check[Context]]) -> tuple[Check[Context], ...]:
    """Return the checks of a command: its own, then those of other packages, by id.

    Parameters
    ----------
    command
        The command.
    built_in
        Its own checks, in order.

    Raises
    ------
    CxrbuildError
        A check of another package cannot be imported, is not a `Check`, has another id than its entry point,
        or has the id of another check.
    """
    own = tuple(built_in)
    taken = {check.id for check in own}
    others = []
    for entry in sorted(set(find_entry_points(GROUP)), key=lambda entry: (entry.name, entry.value)):
        check = _load(entry)
        if check.command != command:
            continue
        if check.id in taken:
            raise _refused(entry, f"another check has the id {check.id!r}")
        taken.add(check.id)
        others.append(_prepare(entry, check))
    return (*own, *others)


def known_ids(command: Command) -> tuple[str, ...]:
    """Return the ids that a check of a command can have, without importing other packages' checks.

    Parameters
    ----------
    command
        The command.

    Returns
    -------
    tuple of str
        The ids of its own checks, then those of all other packages' checks, for any command.
    """
    return (*own_checks(command), *sorted(entry.name for entry in find_entry_points(GROUP)))


def own_checks(command: Command) -> dict[str, Check[Any]]:
    """Return a command's own checks, by id."""
    return {check.id: check for check in import_module(_REGISTRIES[command]).CHECKS}


def name_check(check_id: str, command: Command) -> str:
    """Return the id of a check, with the package that it is of where that is another.

    Parameters
    ----------
    check_id
        The id.
    command
        The command that made the check.
    """
    if check_id in own_checks(command):
        return check_id
    packages = {_package(entry) for entry in find_entry_points(GROUP).select(name=check_id)}
    return f"{check_id} of {' and '.join(sorted(packages))}" if packages else check_id


def _load(entry: EntryPoint) -> Check[Any]:
    try:
        check = entry.load()
    except Exception as error:  # the code of another package: any error is possible
        raise _refused(entry, f"it cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(check, Check):
        raise _refused(entry, f"it is a {type(check).__name__}, not a cxrbuild Check")
    if check.id != entry.name:
        raise _refused(entry, f"its id is {check.id!r}; entry point and id must have the same name")
    if check.command not in get_args(Command):
        raise _refused(entry, _not_among("command", check.command, get_args(Command)))
    return check


def _prepare(entry: EntryPoint, check: Check[Any]) -> Check[Any]:
    """Return a check of another package as a command makes it."""
    if problem := _attribute_problem(check):
        raise _refused(entry, problem)
    return replace(
        check, run=_guarded(entry, check.run), sentence=_as_sentence(check.sentence),
        next_step=_as_sentence(check.next_step),
    )  # fmt: skip


def _attribute_problem(check: Check[Any]) -> str:
    """Return what is wrong with an attribute of a check; empty where nothing is."""
    for name in ("sentence", "shortcut", "next_step"):
        if not isinstance(getattr(check, name), str):
            return f"its {name} is {getattr(check, name)!r}, not a text"
    for name, words in (("topic", get_args(Topic)), ("counted_pairs", get_args(CountedPairs))):
        if getattr(check, name) not in (*words, None):
            return _not_among(name, getattr(check, name), (*words, None))
    if check.limit is not None and not (_is_number(check.limit) and math.isfinite(check.limit)):
        return f"its limit is {check.limit!r}, not a number or None"
    return ""


def _not_among(name: str, value: object, words: tuple[str | None, ...]) -> str:
    return f"its {name} is {value!r}, not one of {', '.join(map(repr, words))}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _as_sentence(text: str) -> str:
    """Return a text with the period that another sentence needs before it."""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _guarded(
    entry: EntryPoint, run: Callable[[Any], Iterable[Finding] | Measurement]
) -> Callable[[Any], Iterable[Finding] | Measurement]:
    def guarded(context: Any) -> Iterable[Finding] | Measurement:
        try:
            found = run(context)
            found = found if isinstance(found, Measurement) else list(found)
            _require_writable(found)
            # Pages end the sentence of a message.
            return (
                replace(found, message=found.message.rstrip(".")) if isinstance(found, Measurement) else found
            )
        except NotApplicable:
            raise
        except Exception as error:  # the code of another package: any error is possible
            _logger.info("check %s of %s raised an error", entry.name, _package(entry), exc_info=True)
            # A message of several lines would break the list of findings.
            message = printable(
                error if isinstance(error, CxrbuildError) else f"{type(error).__name__}: {error}"
            )
            raise _Failed(
                f"{_package(entry)} could not make this check: {message.rstrip('.')}. Upgrade or uninstall "
                "that package; -v shows where it failed"
            ) from error

    return guarded


def _require_writable(found: Measurement | Sequence[Finding]) -> None:
    """Raise an error where a result is no number and findings, or cannot be written as JSON."""
    findings = found.findings if isinstance(found, Measurement) else found
    if stray := [one for one in findings if not isinstance(one, Finding)]:
        raise TypeError(f"found a {type(stray[0]).__name__}, not a cxrbuild Finding")
    values: list[object] = []
    if isinstance(found, Measurement):
        values = [found.value, found.message]
        if found.value is not None and not _is_number(found.value):
            raise TypeError(f"the value is {found.value!r}, not a number")
        _require_text("message", found.message)
    for finding in findings:
        _require_text("message of a finding", finding.message)
        for name, text in (("file", finding.file), ("row", finding.row)):
            if text is not None:
                _require_text(f"{name} of a finding", text)
    json.dumps([*values, [finding.to_dict() for finding in findings]], allow_nan=False)


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"the {name} is {value!r}, not a text")


def _refused(entry: EntryPoint, message: str) -> CxrbuildError:
    return CxrbuildError(
        f"the check {entry.name!r} of {_package(entry)} cannot be used: {message}", where=entry.value,
        todo="Upgrade or uninstall that package",
    )  # fmt: skip


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "another package"
