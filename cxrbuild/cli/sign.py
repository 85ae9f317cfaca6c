"""The command `sign`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import FOLDER, PATH, output_options
from cxrbuild.cli.output import Output


@click.command(cls=Command)
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option(
    "--key", type=PATH, required=True, metavar="FILE", help="Private Ed25519 key, such as ~/.ssh/id_ed25519."
)
@output_options
def sign(folder: Path, key: Path, quiet: bool, as_json: bool) -> None:
    """Sign a release with your SSH key.

    Writes SHA256SUMS.sig, which `cxrbuild verify --signers FILE` and `ssh-keygen -Y verify` check. The
    environment variable CXRBUILD_KEY_PASSPHRASE has the passphrase of the key.
    """
    from cxrbuild.api import sign as sign_release
    from cxrbuild.artifact import names

    output = Output(quiet=quiet, as_json=as_json)
    result = sign_release(folder, key.expanduser(), passphrase=os.environ.get("CXRBUILD_KEY_PASSPHRASE"))
    output.show(f"Signed with {result.fingerprint}: {folder / names.SIGNATURE}")
    output.result("sign-1", result.to_dict())
