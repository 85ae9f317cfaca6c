"""JSON, TOML and YAML of others: whatever is wrong is a ValueError, and nothing expands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cxrbuild.catalog import read_recipe
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.files import read_json
from cxrbuild.parsing import parse_json, parse_toml, parse_yaml

ALIASES = "a: &a [x, x, x]\n" + "".join(
    f"{new}: &{new} [{f'*{old}, ' * 9}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_json, "[" * 100_000),
        (parse_json, '{"a":' * 100_000),
        (parse_json, "nonsense"),
        (parse_toml, "a = " + "[" * 10_000),
        (parse_toml, "a = " + "9" * 5000),
        (parse_toml, "a = b"),
        (parse_yaml, "[" * 10_000),
        (parse_yaml, "a: b: c"),
        (parse_yaml, ALIASES),
        (parse_yaml, "!!python/object/apply:os.system ['true']"),
    ],
    ids=lambda value: value if callable(value) else value[:12],
)
def test_damage_is_a_value_error(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_documents_are_parsed() -> None:
    assert parse_json(b'{"a": [1]}') == {"a": [1]}
    assert parse_toml("a = [1]") == {"a": [1]}
    assert parse_yaml("a: [1]") == {"a": [1]}


def test_files_of_deep_nesting_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(CxrbuildError, match="not a JSON document"):
        read_json(path)
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 10_000)
    with pytest.raises(DeclarationError, match="not valid TOML"):
        read_recipe(str(path))
