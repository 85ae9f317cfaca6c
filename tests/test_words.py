"""The vocabulary: words that the project does not use are in no identifier, message, page or document."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from command import CHECKOUT

_LIST = Path(__file__).with_name("words.txt")
# Not read: this list, names of upstream's files, and the text of the licence.
_OTHERS = re.compile(r"tests/(words\.txt|test_words\.py)$|cxrbuild/catalog/listings/|LICENSE$")
# Names of upstream, quoted; films that were photographed; what CSS and JSON Schema name.
_QUOTED = re.compile(
    r"2-chest-filmc|photo of a film/screen|\b(?:list|align|place|spec)-items?\b"
    r"|modifyitems\(items\b|[\"']items[\"']"
)


@dataclass(frozen=True)
class Word:
    """A line of the list."""

    expression: str
    instead: str
    places: re.Pattern[str]

    @property
    def pattern(self) -> re.Pattern[str]:
        return _pattern(self.expression)


@cache
def _pattern(expression: str) -> re.Pattern[str]:
    # For text in lower case. An identifier's words are apart at underscores.
    return re.compile(rf"(?<![a-z])(?:{expression})(?![a-z])")


def _words() -> list[Word]:
    lines = [line for line in _LIST.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    cells = [line.split("\t") for line in lines]
    return [Word(row[0], row[1], re.compile(row[2] if len(row) > 2 else "")) for row in cells]


def _texts() -> Iterator[tuple[str, str]]:
    """Yield name and text of every text file, whatever its suffix."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, check=True, capture_output=True, text=True, encoding="utf-8",
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        path = CHECKOUT / name
        if _OTHERS.search(name) or not path.is_file() or b"\0" in (data := path.read_bytes()):
            continue
        # Some inputs of tests are not UTF-8, and have no words of ours there.
        yield name, data.decode("utf-8", errors="replace")


def test_words_that_are_not_used() -> None:
    found, words = [], _words()
    # Most files and lines have none: they are searched once for all words.
    any_word = _pattern("|".join(f"(?:{word.expression})" for word in words))
    for name, text in _texts():
        plain = _QUOTED.sub("", text.lower())
        if not any_word.search(plain):
            continue
        refused = [word for word in words if word.places.match(name)]
        for number, line in enumerate(plain.split("\n"), 1):
            if any_word.search(line):
                found += [
                    f"{name}:{number}: {match[0]!r}, write {word.instead}: {line.strip()[:90]}"
                    for word in refused
                    if (match := word.pattern.search(line))
                ]
    assert not found, f"{len(found)} lines\n" + "\n".join(found)


def test_every_text_file_is_read() -> None:
    names = {name for name, _ in _texts()}
    assert {".gitignore", "Makefile", "Dockerfile", "cxrbuild/catalog/reviews/covid_frontal.csv"} <= names
    assert {Path(name).suffix for name in names} >= {".ipynb", ".json", ".j2", ".yml", ".yaml", ".cff", ".js"}


def test_expressions_match_whole_words_and_parts_of_identifiers() -> None:
    image = _words()[0].pattern
    assert image.search("the_films")
    assert image.search("two films.")
    assert not image.search("microfilming")
    assert len({word.expression for word in _words()}) == len(_words())


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("A stage stands in the shards, beside the label.", {"stand", "beside"}),
        ("the patient on both sides of the test part", {"on both sides", "test part"}),
        ("if the file is gone, it tells which", {"gone", "tells"}),
        ("Who trains on it gets the rest", {"who trains"}),
        ("a piece, an edition, a fact, an item", {"piece", "edition", "fact", "item"}),
        ("`plan` says which", {"says"}),
        ("f\"{n} image{'s' if n > 1 else ''}\"", {"'s' if"}),
        ("f\"{n} {'is' if n == 1 else 'are'}\"", {"'is' if n == 1"}),
        ("for name, value in counts.items():", set()),
    ],
)
def test_words_of_the_glossary_are_refused_in_documents(line: str, refused: set[str]) -> None:
    text = _QUOTED.sub("", line.lower())
    words = [word for word in _words() if word.places.match("docs/audit.md")]
    matches = [match[0] for word in words if (match := word.pattern.search(text))]
    assert all(any(match.startswith(one) for match in matches) for one in refused), matches
    assert bool(matches) == bool(refused)
