"""Every error names the next step, or lists problems that each name theirs."""

from __future__ import annotations

import ast

from command import CHECKOUT

ERRORS = {"ArchiveError", "CheckError", "CxrbuildError", "DeclarationError"}


def calls_without_next_step(code: str) -> list[int]:
    """Return the lines of the errors that have no `todo`."""
    return [
        call.lineno
        for call in ast.walk(ast.parse(code))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ERRORS
        and not any(keyword.arg in ("todo", None) for keyword in call.keywords)
        # A list of problems: each line says what to correct.
        and not (call.args and "\\n" in ast.unparse(call.args[0]))
    ]


def test_every_error_names_the_next_step() -> None:
    without = [
        f"{path.relative_to(CHECKOUT)}:{line}"
        for path in sorted((CHECKOUT / "cxrbuild").rglob("*.py"))
        for line in calls_without_next_step(path.read_text(encoding="utf-8"))
    ]
    assert not without


def test_an_error_without_the_next_step_is_found() -> None:
    assert calls_without_next_step('raise CxrbuildError("a", where=b)\nx = CheckError(f"a {b}")') == [1, 2]
    assert calls_without_next_step('raise CxrbuildError("a", todo="b")') == []
    assert calls_without_next_step('raise DeclarationError("a\\n" + "\\n".join(b), where=c)') == []
