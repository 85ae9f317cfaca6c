"""A proposal as the text of two declarations, with comments."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cxrbuild.catalog.license import read_licenses
from cxrbuild.errors import count_of, name_some, noun_of, printable
from cxrbuild.proposing.classes import ProposedSplit
from cxrbuild.proposing.columns import ColumnProposal
from cxrbuild.proposing.findings import FindingProposal
from cxrbuild.proposing.keys import Key
from cxrbuild.proposing.proposal import Decision, WordCount

_WIDTH = 100


@dataclass(frozen=True)
class SourceText:
    """What the text of a source says.

    Attributes
    ----------
    name, title, origin
        The source's name and title, and what it was proposed from.
    public, license
        As a person answered.
    reader
        The keys of the table ``[reader]``, in order.
    finding
        Where the finding comes from, ``None`` where every image has the same.
    columns
        The other columns, by name.
    decisions
        What was decided, for the comments.
    folder_columns
        For our column the named group of the reader's pattern.
    words
        The words of all columns but the finding.
    unused
        The columns of the table that nothing is taken from.
    counted
        What the numbers of the words count: ``row``, or ``image`` where a row can have several.
    ignored
        The folders that are not of the source.
    """

    name: str
    title: str
    origin: str
    public: bool
    license: str
    reader: Mapping[str, object]
    finding: FindingProposal | None
    columns: Mapping[str, ColumnProposal]
    decisions: Sequence[Decision] = ()
    folder_columns: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[WordCount] = ()
    unused: tuple[str, ...] = ()
    counted: str = "row"
    ignored: Sequence[str] = ()


def source_text(proposed: SourceText) -> str:
    """Return the text of a source."""
    lines = [
        f"# Proposed by `cxrbuild init` from {proposed.origin}.",
        "# Read it, correct it and keep it: `cxrbuild` changes nothing in it but its pin.",
        *_undecided(proposed.decisions),
        f"name = {toml(proposed.name)}",
        f"title = {toml(proposed.title)}",
        *_comment("An SPDX identifier. A public release withholds images whose licence is unknown."),
        f"license = {toml(proposed.license)}",
        *_comment("Whether its files are published, with their names and patient numbers."),
        f"public = {toml(proposed.public)}",
    ]
    finding = proposed.finding
    if finding is not None and finding.separator is not None:
        lines += [*_comment("What separates several findings of one row."),
                  f"finding_separator = {toml(finding.separator)}"]  # fmt: skip
    if proposed.ignored:
        lines += [
            "",
            "[download]",
            *_comment("Folders that are not of the source; `fetch` does not copy them."),
        ]
        lines += _key("ignore", [f"{glob.escape(folder)}/*" for folder in proposed.ignored])
    lines += ["", "[reader]"]
    for key, value in proposed.reader.items():
        note = _READER_NOTES.get(key)
        lines += [*(_comment(note) if note else ()), *_key(key, value)]
    lines += _finding_lines(proposed)
    by_subject = {decision.subject: decision for decision in proposed.decisions}
    for name, column in proposed.columns.items():
        lines += ["", *_decided(by_subject.get(name)), f"[columns.{name}]"]
        origins = column.origins
        lines += _key("from", origins[0] if len(origins) == 1 else list(origins))
        lines += _key("pattern", column.pattern) if column.pattern else []
        lines += _key("decimal", column.decimal) if column.decimal != "." else []
        lines += _key("blank", list(column.blank)) if column.blank != ("",) else []
        lines += _words(column, proposed.counted)
    for name, group in proposed.folder_columns.items():
        lines += ["", *_decided(by_subject.get(name)), f"[columns.{name}]", *_key("from", group)]
    if "attribution" not in proposed.columns:
        asking = licenses_to_credit(proposed)
        which = f"{name_some(asking)} requires" if asking else "Licences such as CC-BY-4.0 require"
        lines += ["", *_comment(f"{which} {_CREDIT}"), "# [columns.attribution]", '# value = "AUTHOR, YEAR"']
    if proposed.unused:
        lines += ["", *_comment(f"Columns that are not used: {', '.join(map(repr, proposed.unused))}.")]
    return "\n".join(lines) + "\n"


_CREDIT = (
    "attribution, and a public release is refused without it: remove the # from both lines and write whom to "
    "credit, or declare the source's `homepage` or `citation`."
)


def licenses_to_credit(proposed: SourceText) -> tuple[str, ...]:
    """Return the licences of a source that require attribution, where it names nobody to credit."""
    if "attribution" in proposed.columns:
        return ()
    column = proposed.columns.get("license")
    found = {proposed.license} if column is None else set(column.map.values())
    return tuple(
        sorted(n for n, one in read_licenses().items() if "attribution" in one.conditions and n in found)
    )


_READER_NOTES = {
    "patient_id": "`hash` replaces patient numbers by a hash, keyed with CXRBUILD_PATIENT_KEY.",
    "strip": "The table's paths begin with folders that are not there.",
    "pattern": "A regular expression on the path; its named groups are columns.",
    "header": "Another layout of the file is an error.",
}


def _finding_lines(proposed: SourceText) -> list[str]:
    finding = proposed.finding
    if finding is None:
        if "finding" in proposed.folder_columns:
            return []
        return ["", *_comment("No column of findings was found: every image gets this one."),
                "[columns.finding]", 'value = "unlabelled"']  # fmt: skip
    lines = ["", *_decided(finding.decision), "[columns.finding]"]
    if finding.columns:
        lines += _key("columns", list(finding.columns))
        lines += _key("present", list(finding.present)) + _key("absent", list(finding.absent))
        return lines
    lines += _key("from", finding.origin)
    lines += _key("pattern", finding.pattern) if finding.pattern else []
    lines += _key("blank", list(finding.blank)) if finding.blank != ("",) else []
    return lines


def _words(column: ColumnProposal, counted: str) -> list[str]:
    """Return the map of a column, with the number of rows or images that have each word."""
    if not column.map:
        return []
    rows = {word.word: word.rows for word in column.words}
    lines = ["", f"[columns.{column.decision.subject}.map]"]
    return lines + [
        f"{toml(word)} = {toml(meaning)}" + (f"  # {count_of(rows[word], counted)}" if word in rows else "")
        for word, meaning in column.map.items()
    ]


@dataclass(frozen=True)
class RecipeText:
    """What the text of a recipe says.

    Attributes
    ----------
    name, title, day, source
        The recipe's name, title and day, and the source's name.
    classes
        Classes with their words, in order.
    rows
        How many images have each word.
    others
        Words without a class, for a comment.
    lateral, ct
        The lateral views and the modalities other than radiographs that occur.
    split
        What ``[split]`` says.
    notes
        Comments on the split.
    """

    name: str
    title: str
    day: str
    source: str
    classes: Mapping[str, Sequence[str]]
    rows: Mapping[str, int]
    others: Sequence[str] = ()
    lateral: Sequence[str] = ()
    ct: Sequence[str] = ()
    split: ProposedSplit = field(default_factory=ProposedSplit)
    notes: Sequence[str] = ()
    decisions: Sequence[Decision] = ()


def recipe_text(proposed: RecipeText) -> str:
    """Return the text of a recipe."""
    lines = [
        "# Proposed by `cxrbuild init`. The order of the classes numbers them from 0; the first rule wins.",
        f"name = {toml(proposed.name)}",
        'version = "0.1.0"',
        f"date = {toml(proposed.day)}",
        f"title = {toml(proposed.title)}",
        f"sources = [{toml(f'{proposed.source}.toml')}]",
        "",
        *_decided(next((one for one in proposed.decisions if one.subject == "classes"), None)),
        "[labels]",
    ]
    for name, words in proposed.classes.items():
        counts = [proposed.rows[word] for word in words if word in proposed.rows]
        rows = " + ".join(f"{count:,}" for count in counts)
        lines.append(
            f"{toml(name)} = {{ {proposed.source} = {toml(list(words))} }}"
            + (f"  # {rows} {noun_of(sum(counts), 'image')}" if rows else "")
        )
    if proposed.others:
        shown = [f"{word!r} ({proposed.rows[word]:,})" for word in proposed.others[:60]]
        more = len(proposed.others) - 60
        lines += _comment(
            "Without a class: " + ", ".join(shown) + (f" and {more:,} more" if more > 0 else "") + "."
        )
    if proposed.ct:
        lines += _rule(
            "not_a_radiograph", "modality", proposed.ct, "ct", "A slice or volume is not a radiograph."
        )
    if proposed.lateral:
        lines += _rule(
            "lateral", "view_position", proposed.lateral, "lateral",
            "The dataset holds frontal images. An unknown view is kept.",
        )  # fmt: skip
    lines += [
        "", "[[rules]]", 'name = "other_finding"', 'kind = "labelled"',
        'reason = "The finding is unknown, or none of the classes."',
        "", *(line for note in proposed.notes for line in _comment(note)), "[split]",
        f"salt = {toml(proposed.name)}",
    ]  # fmt: skip
    split = proposed.split
    if split.allow_empty:
        lines += [*_comment("Classes with so few patients that a split may have none of them."),
                  f"allow_empty = {toml(split.allow_empty)}"]  # fmt: skip
    if split.declared:
        lines += ["", "[[split.declared]]", f"source = {toml(proposed.source)}"]
        lines += [f"map = {toml(split.declared)}"]
    if split.share is not None:
        lines += ["", "[split.test]", f"share = {toml(split.share)}"]
    if split.counts:
        lines += ["", "[split.test]", f"count = {toml(split.counts)}"]
    return "\n".join(lines) + "\n"


def _rule(name: str, column: str, values: Sequence[str], switch: str, reason: str) -> list[str]:
    return [
        "", "[[rules]]", f"name = {toml(name)}", 'kind = "not_in"', f"column = {toml(column)}",
        f"values = {toml(list(values))}", f"switch = {toml(switch)}", f"reason = {toml(reason)}",
    ]  # fmt: skip


def reader_of_key(key: Key) -> dict[str, object]:
    """Return the keys of a reader that find the images of a row."""
    keys: dict[str, object] = {key.keyword: key.template}
    if key.suffixes and len(key.suffixes) > 1:
        keys["suffixes"] = list(key.suffixes)
    if key.strip:
        keys["strip"] = key.strip
    return keys


def toml(value: object) -> str:
    r"""Return a value as TOML has it.

    Examples
    --------
    >>> toml(["a\tb", 'say "x"']), toml({"No finding": 3}), toml(True)
    ('["a\\tb", "say \\"x\\""]', '{ "No finding" = 3 }', 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON and TOML have the same escapes; TOML also wants one for the control character 7F.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_bare(str(key))} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, Iterable):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)


def _bare(key: str) -> str:
    return key if key and key.isascii() and key.replace("_", "a").replace("-", "a").isalnum() else toml(key)


def _key(key: str, value: object) -> list[str]:
    """Return a key with its value; a long list has a line for each element."""
    line = f"{key} = {toml(value)}"
    if len(line) <= _WIDTH or not isinstance(value, Sequence) or isinstance(value, str):
        return [line]
    return [f"{key} = [", *(f"    {toml(one)}," for one in value), "]"]


def _undecided(decisions: Sequence[Decision]) -> list[str]:
    unsure = [decision for decision in decisions if decision.certainty == "not sure"]
    lines = ["#", "# Not sure, so look at these first:"] if unsure else []
    for decision in unsure:
        lines += _comment(f"- {decision.subject}: {decision.choice or 'none'}; {decision.reason}")
        if decision.alternatives:
            lines += _comment(f"  It could also be {', '.join(map(repr, decision.alternatives[:8]))}.")
    return [*lines, ""]


def _decided(decision: Decision | None) -> list[str]:
    return _comment(f"{decision.certainty}: {decision.reason}") if decision is not None else []


def _comment(text: str) -> list[str]:
    """Return a text as lines of a comment; no sign of a foreign name can end the comment."""
    import textwrap

    return [f"# {line}" for line in textwrap.wrap(printable(text), _WIDTH, break_long_words=False)]
