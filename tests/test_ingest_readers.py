"""Readers are found by their kind; a package of someone else's can add one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import cxrbuild
from cxrbuild.catalog import read_source
from cxrbuild.catalog.reader import built_in_kinds, reader_class
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.fetching.record import fetched_blobs
from cxrbuild.fetching.sources import fetch
from cxrbuild.ingest import ingest, take_inventory

MODULE = '''
from typing import Literal

import pandas as pd
from pydantic import Field

from cxrbuild.catalog.column import Column
from cxrbuild.catalog.reader import Reader


class SidecarReader(Reader):
    """A text file next to each image holds its finding."""

    kind: Literal["sidecar"]
    suffix: str = Field(".txt", description="the suffix of the text files")

    default_columns = {"finding": Column.model_validate({"from": "text"})}

    def metadata_files(self, paths):
        return [path for path in paths if path.endswith(self.suffix)]

    def read(self, inventory, images, progress):
        rows = [path for path in images if path + self.suffix in inventory.available]
        texts = [(inventory.root / (path + self.suffix)).read_text(encoding="utf-8") for path in rows]
        index = pd.MultiIndex.from_arrays([rows, rows], names=["place", "path"])
        return pd.DataFrame({"text": texts}, index=index, dtype="str")
'''

SOURCE = """
name = "mine"
title = "Mine"

[reader]
kind = "{kind}"
images = ["*.png"]
{more}
"""


def install(folder: Path, **entries: str) -> None:
    """Install a package with entry points into a folder, as pip does."""
    (folder / "sidecar_reader.py").write_text(MODULE)
    info = folder / "sidecar_reader-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sidecar-reader\nVersion: 1.0\n")
    lines = [f"{kind} = {value}" for kind, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[cxrbuild.readers]", *lines, ""]))


def declare(folder: Path, kind: str, more: str = ""):
    (folder / "s.toml").write_text(SOURCE.format(kind=kind, more=more))
    return read_source("s.toml", folder)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("sidecar_reader", None)


def test_another_package_adds_a_reader(tmp_path: Path, site: Path) -> None:
    install(site, sidecar="sidecar_reader:SidecarReader")
    source = declare(tmp_path, "sidecar", 'suffix = ".label"')
    root = tmp_path / "root"
    root.mkdir()
    for name, finding in (("a.png", "covid"), ("b.png", "normal")):
        (root / name).write_bytes(b"image")
        (root / f"{name}.label").write_text(finding)
    records = ingest(source, take_inventory(source, root))
    assert dict(zip(records["source_path"], records["finding"], strict=True)) == {
        "a.png": "covid",
        "b.png": "normal",
    }
    assert source.model_dump(mode="json")["reader"]["suffix"] == ".label"


# What a user of the copy of the package runs.
INGEST = """
import sys
from pathlib import Path
from cxrbuild.catalog import read_source
from cxrbuild.ingest import ingest, take_inventory

folder = Path(sys.argv[1])
source = read_source("s.toml", folder)
records = ingest(source, take_inventory(source, folder / "root"))
print(type(source.reader).__module__, *records["source_path"], *records["finding"])
"""


def test_a_reader_of_this_package_is_one_file(tmp_path: Path) -> None:
    checkout = Path(cxrbuild.__file__).parent.parent
    copy, unneeded = tmp_path / "copy", shutil.ignore_patterns("__pycache__", "*.csv", "*.tsv")
    shutil.copytree(checkout / "cxrbuild", copy / "cxrbuild", ignore=unneeded)
    shutil.copy(checkout / "pyproject.toml", copy)
    (copy / "cxrbuild" / "ingest" / "readers" / "sidecar.py").write_text(MODULE)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.png").write_bytes(b"image")
    (tmp_path / "root" / "a.png.txt").write_text("covid")
    (tmp_path / "s.toml").write_text(SOURCE.format(kind="sidecar", more=""))
    env = os.environ | {"PYTHONPATH": str(copy), "PYTHONUTF8": "1"}
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    found, contracts = (
        subprocess.run([sys.executable, "-c", code, *more], cwd=copy, env=env, capture_output=True, text=True)
        for code, more in ((INGEST, [str(tmp_path)]), (lint, ["--no-cache"]))
    )
    assert found.stdout.split() == ["cxrbuild.ingest.readers.sidecar", "a.png", "covid"], found.stderr
    assert contracts.returncode == 0, contracts.stdout
    assert " 0 broken" in contracts.stdout


@pytest.mark.parametrize("kind", built_in_kinds())
def test_the_module_of_a_reader_has_the_name_of_its_kind(kind: str) -> None:
    annotation = reader_class(kind).model_fields["kind"].annotation
    assert typing.get_args(annotation) == (kind,)


def test_the_files_of_an_own_reader_are_those_that_were_fetched(tmp_path: Path, site: Path) -> None:
    install(site, sidecar="sidecar_reader:SidecarReader")
    declare(tmp_path, "sidecar")
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "origin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "origin" / name).write_bytes(b"image")
        (tmp_path / "origin" / f"{name}.txt").write_text("covid")
    source, data = read_source("s.toml", tmp_path), tmp_path / "data"
    lock = fetch([source], data, origins={"mine": str(tmp_path / "origin")}).sources["mine"].locked
    root = data / "sources" / "mine"
    (root / "b.png").unlink()
    (root / "c.png").unlink()
    (root / "c.png.txt").unlink()
    inventory = take_inventory(source, root, fetched=fetched_blobs(source, data, lock))
    records = ingest(source, inventory).set_index("source_path")
    assert records["finding"].dropna().to_dict() == {"a.png": "covid", "b.png": "covid"}
    assert records["exclusion"].dropna().to_dict() == {"c.png": "file_without_row"}
    (root / "a.png.txt").write_text("normal")
    with pytest.raises(CxrbuildError, match=r"a\.png\.txt: the metadata changed since it was fetched"):
        fetched_blobs(source, data, lock)


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("sidecar", 'sufix = ".label"', "reader.sufix: unknown key; the nearest known key is `suffix`"),
        ("sidecar", "suffix = 1", "reader.suffix: expected text; found 1"),
        (
            "parquet",
            "",
            "no reader has the kind 'parquet'; expected one of csv, dicom, folders",
        ),
        ("broken", "", "cannot be imported: ModuleNotFoundError: No module named 'not_there'"),
        ("wrong", "", "is no subclass of Reader"),
        ("csv", "", "reader.file: missing"),
        ("csv", 'pattern = "x"', "reader.pattern: unknown key"),
    ],
)
def test_a_readers_own_model_checks_its_declaration(
    tmp_path: Path, site: Path, kind: str, more: str, message: str
) -> None:
    install(site, sidecar="sidecar_reader:SidecarReader", broken="not_there:Reader", wrong="pathlib:Path")
    with pytest.raises(DeclarationError, match=re.escape(message)):
        declare(tmp_path, kind, more)


def test_two_packages_with_one_kind_are_refused(tmp_path: Path, site: Path) -> None:
    install(site, sidecar="sidecar_reader:SidecarReader")
    info = site / "other_reader-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-reader\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cxrbuild.readers]\nsidecar = other:Reader\n")
    with pytest.raises(DeclarationError, match="several packages have a reader of the kind 'sidecar'"):
        declare(tmp_path, "sidecar")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import json; json.loads('{')", "Found: JSONDecodeError: Expecting property name enclosed"),
        ("return {}['finding']", "Found: KeyError: 'finding', in "),
        ("return None", "Found: `read` returned a NoneType, not a table"),
        ("return pd.DataFrame({'text': []})", "`read` returned a table indexed by [None], not by place"),
    ],
)
def test_a_reader_that_fails_is_an_error_that_names_its_package(
    tmp_path: Path, site: Path, body: str, message: str
) -> None:
    install(site, sidecar="sidecar_reader:SidecarReader")
    head, _, _ = MODULE.partition("        rows = [path")
    (site / "sidecar_reader.py").write_text(f"{head}        {body}\n")
    source = declare(tmp_path, "sidecar")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.png").write_bytes(b"image")
    with pytest.raises(CxrbuildError, match=r"the reader 'sidecar' of sidecar-reader failed") as failed:
        ingest(source, take_inventory(source, tmp_path / "root"))
    assert message in str(failed.value)
    assert "let it raise cxrbuild.CxrbuildError with file and line" in str(failed.value)


def test_the_own_error_of_a_reader_stays(tmp_path: Path, site: Path) -> None:
    install(site, sidecar="sidecar_reader:SidecarReader")
    head, _, _ = MODULE.partition("        rows = [path")
    (site / "sidecar_reader.py").write_text(
        f"from cxrbuild import CxrbuildError\n{head}"
        "        raise CxrbuildError('no finding', where='a.txt, line 3')\n"
    )
    source = declare(tmp_path, "sidecar")
    (tmp_path / "root").mkdir()
    with pytest.raises(CxrbuildError, match=r"^a\.txt, line 3: no finding\.$"):
        ingest(source, take_inventory(source, tmp_path / "root"))
