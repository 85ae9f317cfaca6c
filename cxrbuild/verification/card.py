"""Check the card of a release that another version made: its YAML and every count of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cxrbuild.artifact.names import CARD
from cxrbuild.artifact.stored_images import list_shards
from cxrbuild.checks import Finding
from cxrbuild.contents import Contents
from cxrbuild.parsing import parse_yaml
from cxrbuild.shards import shard_columns

_Table = dict[str, dict[str, str]]
_Sizes = Mapping[str, Mapping[str, int]]


def card_findings(folder: Path, contents: Contents, sizes: _Sizes) -> Iterator[Finding]:
    """Find YAML and counts of ``README.md`` that are not those of the data.

    Parameters
    ----------
    folder
        The release.
    contents
        What its tables say it holds.
    sizes
        The rows and bytes of each split in its Parquet shards.
    """
    path = folder / CARD
    if not path.is_file():
        yield Finding("is missing", CARD)
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        front = parse_yaml(text.split("---\n", 2)[1])
        yield from _front_findings(folder, contents, front, sizes)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        yield Finding(f"is not as Hugging Face reads it: {error!r}", CARD, "YAML")
    for title in contents.notices:
        if f"**{title}.**" not in text:
            yield Finding("the notice is missing", CARD, title)
    yield from _table_findings(contents, _tables(text))


def _front_findings(folder: Path, contents: Contents, front: Any, sizes: _Sizes) -> Iterator[Finding]:
    info = front["dataset_info"]
    recorded = {split["name"]: split for split in info["splits"]}
    for split in sorted(set(recorded) | set(sizes)):
        for key in ("num_examples", "num_bytes"):
            found, counted = recorded.get(split, {}).get(key), sizes.get(split, {}).get(key)
            if found != counted:
                yield Finding(f"{key} is {found}, the shards have {counted}", CARD, f"split {split}")
    totals = {
        "download_size": sum(path.stat().st_size for path in list_shards(folder)),
        "dataset_size": sum(split["num_bytes"] for split in sizes.values()),
    }
    for key, size in totals.items():
        if info[key] != size:
            yield Finding(f"is {info[key]}, the shards have {size}", CARD, key)
    features = {feature["name"]: feature["dtype"] for feature in info["features"]}
    if list(features) != ["image", "label", *shard_columns()]:
        yield Finding(f"are {', '.join(features)}, not the shards' columns", CARD, "features")
    classes = list(features["label"]["class_label"]["names"].values())
    if classes != contents.recipe.classes:
        yield Finding(f"label has the names {classes}, not {contents.recipe.classes}", CARD, "features")
    for entry in front["configs"][0]["data_files"]:
        if not any(folder.glob(entry["path"])) or entry["split"] not in sizes:
            yield Finding(f"no shard matches {entry['path']}", CARD, f"split {entry['split']}")


def _table_findings(contents: Contents, tables: list[_Table]) -> Iterator[Finding]:
    kept, embedded = contents.count(contents.kept), contents.count(contents.embedded)
    by_source = contents.count_by("source", contents.kept)
    counts: dict[str, dict[str, int]] = {}
    for label in contents.recipe.classes:
        row = kept[label] | {"all": sum(kept[label].values())}
        row |= {f"{split} with pixels": n for split, n in embedded[label].items()}
        counts[label] = row | {"all with pixels": sum(embedded[label].values())}
    columns = next(iter(counts.values()), {})
    counts["all"] = {column: sum(row[column] for row in counts.values()) for column in columns}
    steps = {step.name: {"images": step.images} for step in contents.steps()}
    steps |= {"upstream": {"images": contents.upstream_images}, "kept": {"images": len(contents.kept)}}
    expected = [
        ("class", counts),
        (
            "class",
            {
                label: {source: by_source.get(source, {}).get(label, 0) for source in contents.sources}
                for label in contents.recipe.classes
            },
        ),
        ("step", steps),
        ("licence", _license_counts(contents)),
    ]
    withheld = {reason: {"images": n} for reason, n in contents.count_withheld().items()}
    if withheld:
        expected.append(("reason", withheld))
    for head, rows in expected:
        wanted = set(next(iter(rows.values()), {}))
        fitting = [
            t for t in tables if head in next(iter(t.values()), {}) and wanted <= set(next(iter(t.values())))
        ]
        if not fitting:
            yield Finding(f"no table has the columns {', '.join(sorted(wanted))}", CARD, head)
        else:
            yield from _cell_findings(head, fitting[0], rows)


def _cell_findings(head: str, table: _Table, rows: _Sizes) -> Iterator[Finding]:
    for row in [*rows, *(name for name in table if name not in rows)]:
        for column in rows.get(row, {"": 0}):
            found = table.get(row, {}).get(column)
            wanted = f"{rows[row][column]:,}" if row in rows else None
            if found != wanted:
                where = f"table of {head}, {row}" + (f", {column}" if column else "")
                yield Finding(f"has {found}, the data have {wanted}", CARD, where)


def _license_counts(contents: Contents) -> dict[str, dict[str, int]]:
    embedded = contents.embedded["license"].value_counts()
    return {
        str(name): {"images": int(n), "with pixels": int(embedded.get(name, 0))}
        for name, n in contents.kept["license"].value_counts().items()
    }


def _tables(text: str) -> list[_Table]:
    """Return the tables of a Markdown text: for each its rows by first cell, their cells by column."""
    tables: list[_Table] = []
    header: list[str] | None = None
    for line in text.splitlines():
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if header is None:
            header = cells
            tables.append({})
        elif set(line) - set("|-: "):
            tables[-1][cells[0]] = dict(zip(header, cells, strict=False))
    return tables
