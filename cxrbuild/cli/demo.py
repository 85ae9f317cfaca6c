"""The command `demo`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.curate import report_build
from cxrbuild.cli.fetch import report_fetch
from cxrbuild.cli.options import PATH, output_options
from cxrbuild.cli.output import Output
from cxrbuild.shell import join


@click.command(cls=Command)
@click.argument("folder", type=PATH, default="demo", metavar="[DIR]")
@output_options
def demo(folder: Path, quiet: bool, as_json: bool) -> None:
    """Run fetch and curate on small synthetic sources.

    DIR (default `demo`) is a folder that does not exist. The sources are made and served on this machine;
    nothing is downloaded.
    """
    from cxrbuild.api import run_demo

    output = Output(quiet=quiet, as_json=as_json)
    result = run_demo(folder, progress=output.progress)
    # One JSON document: that of the build.
    fetched = Output(quiet=quiet or as_json, as_json=False)
    output.show(
        "Made four sources of synthetic images, laid out like the paper's, and fetched them over HTTP:\n"
    )
    report_fetch(fetched, result.fetched)
    output.show("\nApplied the recipe's rules, split the images by patient, and wrote the build:\n")
    report_build(output, result.curated)
    output.show(
        f"""
What to look at:
  {folder}/build/images/             the images, by split and class
  {folder}/build/funnel.csv          how many images each rule excludes
  {folder}/build/ledger.parquet      every upstream image, and why it is excluded
  {folder}/build/build.json          pins, versions, counts, hashes
  {folder}/declared/                 the recipe and the sources, to copy for your own
How to load it:
  import cxrbuild
  dataset = cxrbuild.load("{folder}/build")
  image, row = dataset[0]
Plan again, from the declared files:
  cxrbuild plan --recipe {folder}/declared/recipe.toml --data {folder}/data
Audit it, then release it:
  cxrbuild audit --recipe {folder}/declared/recipe.toml --build {folder}/build
  cxrbuild release 1.0.0 --build {folder}/build"""
    )
    if shutil.which("cxrbuild") is None:
        command = join([sys.executable, "-m", "cxrbuild"])
        output.show(
            f"\n`cxrbuild` is not on the PATH: write `{command}` instead, or what you ran it with, such as "
            "`pipx run cxrbuild`."
        )
