"""Parse JSON, TOML and YAML that others wrote: whatever is wrong with it is a ``ValueError``.

The parsers themselves also raise ``RecursionError`` for deep nesting, and PyYAML has errors of its own kind.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

_TOO_DEEP = "nested too deeply"


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON document.

    Raises
    ------
    ValueError
        It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises
    ------
    ValueError
        It is not TOML, or nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def parse_yaml(text: str) -> Any:
    """Parse a YAML document without aliases: a few lines of them can describe a document of any size.

    Raises
    ------
    ValueError
        It is not YAML, has an alias, or is nested too deeply.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("an alias in YAML")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, PlainLoader)  # noqa: S506
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
