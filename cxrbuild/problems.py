"""What pydantic reports about a value, in the words of the project: what was expected, and what was found."""

from __future__ import annotations

from typing import Any

from cxrbuild.errors import nearest

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "literal_error": "{expected}",
    "greater_than": "a number over {gt:g}",
    "greater_than_equal": "a number of {ge:g} or more",
    "less_than": "a number under {lt:g}",
    "less_than_equal": "a number of {le:g} or less",
    "string_pattern_mismatch": "text of the form {pattern}",
    "union_tag_invalid": "{expected_tags} as {discriminator}",
    "too_long": "at most {max_length} values",
}
_SAID = {
    "missing": "missing",
    "union_tag_not_found": "needs the key {discriminator}",
    "extra_forbidden": "unknown key",
    "too_short": "expected at least {min_length} value(s); found {actual_length}",
}
# A value that is a table or a list would fill the terminal.
_SHOWN = (str, int, float, bool)
_LONGEST = 60


def describe_value(problem: Any) -> str:
    """Return what is wrong with a value.

    Parameters
    ----------
    problem
        An element of the ``errors()`` of a ``pydantic.ValidationError``.

    Examples
    --------
    >>> describe_value({"type": "int_parsing", "msg": "Input should be ...", "input": "x"})
    "expected a whole number; found 'x'"
    """
    if problem["type"] in _SAID:
        return _SAID[problem["type"]].format(**problem.get("ctx", {}))
    if problem["type"] not in _EXPECTED:
        return str(problem["msg"]).removeprefix("Value error, ")
    context = problem.get("ctx", {})
    text = f"expected {_EXPECTED[problem['type']].format(**context)}"
    found = problem.get("input")
    if problem["type"] == "union_tag_invalid":
        found = context.get("tag")
    if problem["type"] == "list_type" and isinstance(found, dict):
        return f"{text}; found a table; its heading needs double brackets, as in [[rules]]"
    if isinstance(found, list | dict) and problem["type"] != "union_tag_invalid":
        return f"{text}; found {'a list' if isinstance(found, list) else 'a table'}"
    if not isinstance(found, _SHOWN):
        return text
    shown = repr(found)
    text += f"; found {shown if len(shown) <= _LONGEST else shown[:_LONGEST] + '...'}"
    known = str(context.get("expected") or context.get("expected_tags") or "")
    if not (known and isinstance(found, str)):
        return text
    near = nearest(found, known.replace(" or ", ", ").replace("'", "").split(", "))
    return f"{text}; the nearest is {near!r}" if near else text
