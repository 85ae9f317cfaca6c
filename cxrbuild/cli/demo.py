"""The command `demo`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrbuild.cli.curate import report_build
from cxrbuild.cli.fetch import report_fetch
from cxrbuild.cli.options import PATH, output_options
from cxrbuild.cli.output import Output


@click.command()
@click.argument("folder", type=PATH, default="demo", metavar="[DIR]")
@output_options
def demo(folder: Path, quiet: bool, as_json: bool) -> None:
    """Fetch, curate and load in a minute, on small sources that it makes and serves itself.

    DIR (default `demo`) is a folder that is not there yet. Nothing is downloaded from outside.
    """
    from cxrbuild.demo import run_demo
    from cxrbuild.executors import default_workers

    output = Output(quiet=quiet, as_json=as_json)
    fetched, result = run_demo(folder, workers=default_workers(), progress=output.progress)
    output.say("Made four sources of synthetic films, laid out as the paper's, and fetched them over HTTP:\n")
    report_fetch(Output(quiet=quiet or as_json, as_json=False), folder / "data", fetched)
    output.say("\nThen kept what the recipe keeps, parted it by patient and packed it:\n")
    report_build(output, result)
    output.say(
        f"""
What to look at:
  {folder}/build/images/             the films, by part and class
  {folder}/build/funnel.csv          how many each rule left out
  {folder}/build/ledger.parquet      every upstream image, and why it is in or out
  {folder}/build/build.json          pins, versions, counts, hashes
  {folder}/declared/                 the recipe and the sources: copy them for your own
How to load it:
  import pandas as pd
  pd.read_parquet("{folder}/build/manifest.parquet")
  from datasets import load_dataset            # pip install datasets
  load_dataset("parquet", data_dir="{folder}/build/data")
Again by hand, from the declared files:
  cxrbuild plan --recipe {folder}/declared/recipe.toml --data {folder}/data"""
    )
