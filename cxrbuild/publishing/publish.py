"""Publish a release: refuse what must not go out, find out what is there already, send the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Protocol

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import locked_in_place
from cxrbuild.progress import Progress, silent
from cxrbuild.publishing.release import Release, read_release
from cxrbuild.publishing.sending import Step


class Target(Protocol):
    """A place that releases go to."""

    shown: str

    def steps(self) -> list[Step]:
        """Return what is to be there, the sign that it is whole last, and what of it is there already."""

    def send(self, steps: Sequence[Step], *, jobs: int, progress: Progress) -> dict[str, Any]:
        """Send what is not there yet; return what is known of the place: ``url``, ``doi`` and the like."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True)
class PublicationResult:
    """What went where.

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
    place
        What the target says of itself: ``url``, for a deposit ``record``, ``doi`` and ``published``.
    """

    release: str
    name: str
    version: str
    target: str
    dry_run: bool
    steps: Sequence[Step]
    place: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return asdict(self)

    def _repr_html_(self) -> str:
        sent = sum(not step.held for step in self.steps)
        done = "would be sent to" if self.dry_run else "sent to"
        text = f"{self.name} {self.version}: {sent} of {len(self.steps)} files {done} {self.target}"
        return f"<p>{escape(text)}</p>"


def publish(
    folder: Path,
    address: str,
    *,
    dry_run: bool = False,
    final: bool = False,
    jobs: int = 4,
    progress: Progress = silent,
) -> PublicationResult:
    """Publish a release, or go on where an earlier run was stopped.

    Parameters
    ----------
    folder
        The release's folder.
    address
        A folder, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `sftp://HOST/PATH` or what else fsspec knows;
        `hf://datasets/OWNER/NAME`; `zenodo:` for a new record, `zenodo:ID` for a draft or a new version.
    dry_run
        Only find out what would be sent.
    final
        Publish the deposit's record too, which cannot be undone.
    jobs
        How many files to send at once.
    progress
        Opens the progress bar, in bytes.

    Raises
    ------
    CxrbuildError
        The release must not go out, the target holds something else, or it cannot be reached or written.
    """
    if final and not address.startswith("zenodo:"):
        raise CxrbuildError(
            "only a deposit has a final step", where=address, expected="zenodo: as the target"
        )
    make = _target(address, final=final)
    with locked_in_place(folder):
        release = read_release(folder, progress)
        target = make(release)
        try:
            steps = target.steps()
            place = {} if dry_run else target.send(steps, jobs=jobs, progress=progress)
        finally:
            target.close()
    return PublicationResult(str(folder), release.name, release.version, target.shown, dry_run, steps, place)


def _target(address: str, *, final: bool) -> Callable[[Release], Target]:
    """Return what makes the target; refuse an address before the release is checked, which takes its time."""
    if address.startswith("zenodo:"):
        from cxrbuild.publishing.invenio import Invenio
        from cxrbuild.publishing.zenodo import Deposit

        return partial(
            Deposit, service=Invenio(), record=address.removeprefix("zenodo:").strip("/"), final=final
        )
    if address.startswith("hf://"):
        from cxrbuild.publishing.hub import HubDataset, open_hub

        return partial(HubDataset, *open_hub(address))
    from cxrbuild.publishing.store import Store, connector

    return partial(Store, address=address, connect=connector(address))
