"""The vocabulary: words that the project does not use are in no identifier, message, page or document."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from command import CHECKOUT

_LIST = Path(__file__).with_name("words.txt")
_SUFFIXES = {".py", ".toml", ".md", ".j2", ".html", ".js", ".css", ".txt", ".yml", ".yaml", ".cff"}
# Upstream's own names and titles, quoted.
_QUOTED = re.compile(r"2-chest-filmc")


def _word(expression: str) -> re.Pattern[str]:
    # An identifier's words are apart at underscores.
    return re.compile(rf"(?<![a-zA-Z])(?:{expression})(?![a-zA-Z])", re.IGNORECASE)


def _list() -> list[list[str]]:
    lines = [line for line in _LIST.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [line.split("\t") for line in lines]


def _words() -> list[tuple[re.Pattern[str], str]]:
    return [(_word(expression), use) for expression, use in _list()]


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, check=True, capture_output=True, text=True, encoding="utf-8",
    ).stdout.split("\0")  # fmt: skip
    paths = [CHECKOUT / name for name in listed if "/listings/" not in name]
    return [
        path
        for path in paths
        if path.suffix in _SUFFIXES and path.is_file() and path not in (_LIST, Path(__file__))
    ]


def test_words_that_are_not_used() -> None:
    found, words = [], _words()
    # Most files have none: they are searched once for all words.
    any_word = _word("|".join(f"(?:{expression})" for expression, _ in _list()))
    for path in _files():
        lines = _QUOTED.sub("", path.read_text("utf-8")).splitlines()
        if not any_word.search("\n".join(lines)):
            continue
        for number, line in enumerate(lines, 1):
            for word, instead in words:
                if match := word.search(line):
                    place = f"{path.relative_to(CHECKOUT)}:{number}"
                    found.append(f"{place}: {match[0]!r}, write {instead}: {line.strip()[:90]}")
    assert not found, f"{len(found)} lines\n" + "\n".join(found[:200])


def test_expressions_match_whole_words_and_parts_of_identifiers() -> None:
    image = _words()[0][0]
    assert image.search("the_films")
    assert image.search("Two films.")
    assert not image.search("microfilming")
    assert len({word.pattern for word, _ in _words()}) == len(_words())
