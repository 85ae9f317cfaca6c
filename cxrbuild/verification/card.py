"""Whether the card, the citation and the CSV files agree with the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxrbuild.contents import Contents
from cxrbuild.shards import shard_columns
from cxrbuild.verification.finding import Finding

CARD = "README.md"
_Table = dict[str, dict[str, str]]


def check_card(
    folder: Path, contents: Contents, splits: Mapping[str, Mapping[str, int]], faults: list[Finding]
) -> None:
    """Check the YAML and every count of the tables of ``README.md``.

    Parameters
    ----------
    folder
        The release.
    contents
        What its tables say it holds.
    splits
        What was counted in its Parquet shards.
    faults
        Where faults go.
    """
    import yaml

    path = folder / CARD
    if not path.is_file():
        faults.append(Finding(CARD, None, "is missing"))
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        front = yaml.safe_load(text.split("---\n", 2)[1])
        _check_front(folder, contents, front, splits, faults)
    except (yaml.YAMLError, IndexError, KeyError, TypeError, AttributeError) as error:
        faults.append(Finding(CARD, "YAML", f"is not as Hugging Face reads it: {error!r}"))
    faults += [
        Finding(CARD, title, "does not stand here, and should")
        for title in contents.notices
        if f"**{title}.**" not in text
    ]
    _check_tables(contents, _tables(text), faults)


def _check_front(
    folder: Path,
    contents: Contents,
    front: Any,
    splits: Mapping[str, Mapping[str, int]],
    faults: list[Finding],
) -> None:
    info = front["dataset_info"]
    told = {split["name"]: split for split in info["splits"]}
    for part in sorted(set(told) | set(splits)):
        for key in ("num_examples", "num_bytes"):
            said, counted = told.get(part, {}).get(key), splits.get(part, {}).get(key)
            if said != counted:
                faults.append(Finding(CARD, f"split {part}", f"{key} is {said}, the shards have {counted}"))
    sizes = {
        "download_size": sum(path.stat().st_size for path in (folder / "data").glob("*.parquet")),
        "dataset_size": sum(split["num_bytes"] for split in splits.values()),
    }
    for key, size in sizes.items():
        if info[key] != size:
            faults.append(Finding(CARD, key, f"is {info[key]}, the shards have {size}"))
    features = {feature["name"]: feature["dtype"] for feature in info["features"]}
    if list(features) != ["image", "label", *shard_columns()]:
        faults.append(Finding(CARD, "features", f"are {', '.join(features)}, not the shards' columns"))
    names = list(features["label"]["class_label"]["names"].values())
    if names != contents.recipe.classes:
        faults.append(
            Finding(CARD, "features", f"label has the names {names}, not {contents.recipe.classes}")
        )
    faults += [
        Finding(CARD, f"split {entry['split']}", f"no shard fits {entry['path']}")
        for entry in front["configs"][0]["data_files"]
        if not any(folder.glob(entry["path"])) or entry["split"] not in splits
    ]


def _check_tables(contents: Contents, tables: list[_Table], faults: list[Finding]) -> None:
    kept, embedded = contents.count(contents.kept), contents.count(contents.embedded)
    by_source = contents.count_by("source", contents.kept)
    counts: dict[str, dict[str, int]] = {}
    for label in contents.recipe.classes:
        row = {part: kept[label][part] for part in contents.parts} | {"all": sum(kept[label].values())}
        row |= {f"{part} with pixels": embedded[label][part] for part in contents.parts}
        counts[label] = row | {"all with pixels": sum(embedded[label].values())}
    columns = next(iter(counts.values()), {})
    counts["all"] = {column: sum(row[column] for row in counts.values()) for column in columns}
    steps = {step.name: {"images": step.images} for step in contents.steps()}
    steps |= {"upstream": {"images": len(contents.records)}, "kept": {"images": len(contents.kept)}}
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
            faults.append(Finding(CARD, head, f"no table has the columns {', '.join(sorted(wanted))}"))
            continue
        _check_cells(head, fitting[0], rows, faults)


def _check_cells(
    head: str, table: _Table, rows: Mapping[str, Mapping[str, int]], faults: list[Finding]
) -> None:
    for row in [*rows, *(name for name in table if name not in rows)]:
        for column in rows.get(row, {"": 0}):
            said = table.get(row, {}).get(column)
            due = f"{rows[row][column]:,}" if row in rows else None
            if said != due:
                where = f"table of {head}, {row}" + (f", {column}" if column else "")
                faults.append(Finding(CARD, where, f"says {said}, the data have {due}"))


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
