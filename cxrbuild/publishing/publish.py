"""Publish a release: check that it can be published, list the target, and send the missing files."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.files import locked_in_place
from cxrbuild.http import redact_address
from cxrbuild.notebook import result_html
from cxrbuild.progress import Progress, silent
from cxrbuild.publishing.release import OutgoingRelease, read_release, require_publishable
from cxrbuild.publishing.sending import FileToSend, Location, UnreachableError

_logger = logging.getLogger(__name__)


class Target(Protocol):
    """A target of releases."""

    shown: str

    def files_to_send(self) -> list[FileToSend]:
        """Return the files to be at the target, ``SHA256SUMS`` last, as if it had none."""

    def steps(self) -> list[FileToSend]:
        """Return the files to be at the target, ``SHA256SUMS`` last, and which of them are there already."""

    def send(self, steps: Sequence[FileToSend], *, jobs: int, progress: Progress) -> Location:
        """Send the missing files, and return where the release is."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True)
class PublicationResult:
    """Which files were sent to which target.

    Attributes
    ----------
    release
        The folder of the release.
    name, version
        Of the dataset.
    target
        The address, without credentials.
    dry_run
        Whether nothing was sent.
    steps
        The files; those not ``held`` were sent, or would be.
    location
        Where the release is; empty after a dry run.
    unread
        Why a dry run could not read the target; ``None`` where it did.
    """

    release: str
    name: str
    version: str
    target: str
    dry_run: bool
    steps: Sequence[FileToSend]
    location: Location
    unread: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return asdict(self)

    def _repr_html_(self) -> str:
        sent = sum(not step.held for step in self.steps)
        done = "would be sent to" if self.dry_run else "sent to"
        text = f"{self.name} {self.version}: {sent:,} of {count_of(len(self.steps), 'file')} {done}"
        return result_html(sentences=[f"{text} {self.target}"])


def publish(
    folder: Path,
    address: str,
    *,
    dry_run: bool = False,
    final: bool = False,
    jobs: int = 4,
    progress: Progress = silent,
) -> PublicationResult:
    """Publish a release, or resume an interrupted run.

    Parameters
    ----------
    folder
        The release's folder.
    address
        A folder, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `sftp://HOST/PATH` or another fsspec address;
        `hf://datasets/OWNER/NAME`; `zenodo:` for a new record, `zenodo:ID` for a draft or a new version.
    dry_run
        Only list what would be sent: all files, where there is no connection to the target.
    final
        Publish the deposit's record, which cannot be undone.
    jobs
        Number of files sent at a time.
    progress
        Opens the progress bar, in bytes.

    Raises
    ------
    CxrbuildError
        The release cannot be published, the target holds something else, or the target cannot be reached or
        written.
    """
    _refuse_misspelt(address)
    if final and not address.startswith("zenodo:"):
        raise CxrbuildError(
            "only a deposit has a final step",
            where=address,
            expected="zenodo: as the target",
            todo="Omit --final: other targets need no final step",
        )
    # Before a target that needs a library, which the release may never be sent with.
    require_publishable(folder)
    open_target = _find_target(address, final=final)
    with locked_in_place(folder):
        release = read_release(folder, progress)
        _logger.info("read %s: %d files, verified", release.label, len(release.files) + 1)
        target = open_target(release)
        unread = None
        try:
            try:
                steps = target.steps()
            except UnreachableError as error:
                if not dry_run:
                    raise
                steps = target.files_to_send()
                unread = error.what if error.found is None else f"{error.what}: {error.found}"
            missing = [step for step in steps if not step.held]
            _logger.info(
                "compared with %s: %d files present, %d to send, %d bytes",
                target.shown, len(steps) - len(missing), len(missing), sum(step.bytes for step in missing),
            )  # fmt: skip
            location: Location = {} if dry_run else target.send(steps, jobs=jobs, progress=progress)
            if not dry_run:
                _logger.info("published %s: %s", release.label, location)
        finally:
            target.close()
    return PublicationResult(
        str(folder), release.name, release.version, target.shown, dry_run, steps, location, unread
    )


def _find_target(address: str, *, final: bool) -> Callable[[OutgoingRelease], Target]:
    """Return a function that opens the target. An address is refused before the release is checked."""
    if address.startswith("zenodo:"):
        from cxrbuild.publishing.invenio import Invenio
        from cxrbuild.publishing.zenodo import Deposit

        return partial(
            Deposit, service=Invenio(), record=address.removeprefix("zenodo:").strip("/"), final=final
        )
    if address.startswith("hf://"):
        from cxrbuild.publishing.hub import HubDataset, open_hub

        return partial(HubDataset, *open_hub(address))
    from cxrbuild.publishing.store import Store, find_connector

    return partial(Store, address=address, connect=find_connector(address))


def _refuse_misspelt(address: str) -> None:
    """Refuse ``s3:/BUCKET``, which is an address with a missing slash and would be a folder of that name."""
    found = re.match(r"(s3|gs|sftp|hf|https?):/?(?!/)", address)
    if found is not None:
        rest = address[found.end() :]
        raise CxrbuildError(
            "an address needs two slashes", where=redact_address(address), todo=f"Write {found[1]}://{rest}"
        )
