"""Releases as dataset repositories of the Hugging Face Hub.

The Hub keeps a large file under its SHA-256, so content that arrived is not sent again. One commit makes all
files visible, ``SHA256SUMS`` included: a reader never sees an incomplete release. A repository can take the
next version of a dataset, since it keeps the former version under its tag.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cxrbuild import __version__
from cxrbuild.artifact import names, open_release, read_sums
from cxrbuild.artifact.names import SUMS
from cxrbuild.errors import CxrbuildError, is_of_memory, name_some
from cxrbuild.files import git_blob_of
from cxrbuild.progress import Progress
from cxrbuild.publishing.release import OutgoingRelease, ReleaseFile
from cxrbuild.publishing.sending import FileToSend, Location, UnreachableError, is_of_connection, steps_to
from cxrbuild.redaction import advice_on, redacted_message
from cxrbuild.version_numbers import parse_version

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

_logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/?")
# Files that the Hub adds to a new repository; the release's card replaces the Hub's.
_OF_THE_HUB = frozenset({".gitattributes", names.CARD})
_BATCH_BYTES = 1 << 30
_BATCH_FILES = 64


def open_hub(address: str) -> tuple[HfApi, str]:
    """Return the service and the name of a repository on it.

    The service is the Hub, or ``HF_ENDPOINT``. The token is ``HF_TOKEN``, or the one that `hf auth login`
    saved.

    Parameters
    ----------
    address
        `hf://datasets/OWNER/NAME`.

    Raises
    ------
    CxrbuildError
        The address is of another form, or ``huggingface_hub`` is not installed.
    """
    match = _ADDRESS.fullmatch(address)
    if not match:
        raise CxrbuildError(
            "not the address of a dataset",
            where=address,
            expected="hf://datasets/OWNER/NAME",
            todo="Name the account and the dataset, as in hf://datasets/OWNER/NAME",
        )
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise CxrbuildError(
            "huggingface_hub is not installed", where=address, todo='Run `pip install "cxrbuild[hub]"`'
        ) from None
    disable_progress_bars()
    return HfApi(library_name="cxrbuild", library_version=__version__), match[1]


class HubDataset:
    """A dataset repository.

    Parameters
    ----------
    api, repo
        The service and the name of the repository, as ``open_hub`` returns them.
    release
        The release to send.
    """

    def __init__(self, api: HfApi, repo: str, release: OutgoingRelease) -> None:
        self.api = api
        self.repo = repo
        self.release = release
        self.shown = f"hf://datasets/{repo}"
        self.exists = False
        self.tags: dict[str, str] = {}
        self.head: str | None = None
        self.former_files: set[str] = set()

    def close(self) -> None:
        """Do nothing: huggingface_hub closes its connections itself."""

    def files_to_send(self) -> list[FileToSend]:
        """Return the files to be in the repository, as if it were empty."""
        return steps_to(self.shown, [*self.release.files.values(), self.release.sums])

    def steps(self) -> list[FileToSend]:
        """Return the files to be in the repository, and which of them are in it.

        Raises
        ------
        CxrbuildError
            The repository holds other files or another release.
        """
        with self._reporting("cannot be read"):
            held = self._read()
        _logger.debug(
            "%s at %s: %s, commit %s, %d files, tags %s",
            self.repo, self.api.endpoint, "exists" if self.exists else "new", self.head, len(held),
            sorted(self.tags),
        )  # fmt: skip
        files = {**self.release.files, SUMS: self.release.sums}
        complete = SUMS in held and _same(self.release.sums, held[SUMS])
        if SUMS in held and not complete:
            with self._reporting("cannot be read"):
                self._require_older_version()
        stray = sorted(set(held) - set(files) - self.former_files - _OF_THE_HUB)
        if stray:
            raise CxrbuildError(
                "the repository holds files that are not of this release", where=self.shown,
                found=name_some(stray, 5), todo="Name a repository that is new or empty",
            )  # fmt: skip
        return [
            replace(step, held=step.name in held and _same(files[step.name], held[step.name]))
            for step in self.files_to_send()
        ]

    def send(self, steps: Sequence[FileToSend], *, jobs: int, progress: Progress) -> Location:
        """Send the missing files, then make all of them visible with one commit and a tag.

        Raises
        ------
        CxrbuildError
            The Hub refuses a request, or fails.
        """
        missing = [step for step in steps if not step.held]
        with self._reporting("cannot be written"):
            commit = self._commit(missing, jobs, progress) if missing else self.head
            if self.release.version not in self.tags:
                self.api.create_tag(
                    self.repo, tag=self.release.version, revision=commit, repo_type="dataset", exist_ok=True
                )
                _logger.info("tagged %s as %s", commit, self.release.version)
        return {
            "url": f"{self.api.endpoint}/datasets/{self.repo}",
            "commit": commit,
            "tag": self.release.version,
        }

    def _read(self) -> dict[str, RepoFile]:
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        try:
            refs = self.api.list_repo_refs(self.repo, repo_type="dataset")
        except RepositoryNotFoundError:
            return {}
        self.exists = True
        self.tags = {tag.name: tag.target_commit for tag in refs.tags}
        self.head = next((branch.target_commit for branch in refs.branches if branch.name == "main"), None)
        if self.head is None:
            return {}
        tree = self.api.list_repo_tree(self.repo, recursive=True, revision=self.head, repo_type="dataset")
        return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}

    def _require_older_version(self) -> None:
        """Require that the repository holds an earlier version of the same dataset."""
        with TemporaryDirectory() as folder:
            for name in (names.SUMS, names.BUILD):
                self.api.hf_hub_download(
                    self.repo, name, revision=self.head, repo_type="dataset", local_dir=folder
                )
            former = open_release(Path(folder))
            files = set(read_sums(Path(folder)))
        older = parse_version(former.version) < parse_version(self.release.version)
        if former.name != self.release.name or not older or self.release.version in self.tags:
            raise CxrbuildError(
                "the repository holds another release", where=self.shown, expected=self.release.label,
                found=f"{former.name} {former.version}, not the same content",
                todo="A release never changes, and versions only grow: name another repository",
            )  # fmt: skip
        self.former_files = files
        _logger.debug("replacing %s %s, which keeps its tag", former.name, former.version)

    def _commit(self, missing: Sequence[FileToSend], jobs: int, progress: Progress) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        if not self.exists:
            self.api.create_repo(self.repo, repo_type="dataset", exist_ok=True)
            _logger.info("created the repository %s", self.repo)
        files = {**self.release.files, SUMS: self.release.sums}
        additions = []
        with progress(f"publish {self.release.label}", sum(step.bytes for step in missing), "B") as bar:
            for batch in _batches([files[step.name] for step in missing]):
                operations = [CommitOperationAdd(file.name, str(file.path)) for file in batch]
                for operation, file in zip(operations, batch, strict=True):
                    operation.upload_info.sha256 = bytes.fromhex(file.sha256)
                self.api.preupload_lfs_files(
                    self.repo, operations, repo_type="dataset", num_threads=jobs, free_memory=False
                )
                additions += operations
                bar.update(sum(file.bytes for file in batch))
                _logger.debug("uploaded the large files of %d files", len(batch))
        deletions = [CommitOperationDelete(name) for name in sorted(self.former_files - set(files))]
        info = self.api.create_commit(
            self.repo, [*additions, *deletions], commit_message=f"Release {self.release.label}",
            repo_type="dataset", num_threads=jobs, parent_commit=self.head,
        )  # fmt: skip
        _logger.info("committed %d files and %d deletions as %s", len(additions), len(deletions), info.oid)
        self.head = info.oid
        self.former_files = set()
        held = self._read()
        if lost := [name for name, file in files.items() if name not in held or not _same(file, held[name])]:
            raise CxrbuildError(
                "files that were sent are missing", where=self.shown, found=name_some(lost, 5),
                todo="Check whether the repository's .gitignore names them",
            )  # fmt: skip
        return info.oid

    @contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        try:
            yield
        except CxrbuildError:
            raise
        # huggingface_hub, httpx and hf_xet raise errors of their own kinds.
        except Exception as error:
            if is_of_memory(error):
                raise
            status = getattr(getattr(error, "response", None), "status_code", None)
            kind = UnreachableError if status is None and is_of_connection(error) else CxrbuildError
            raise kind(
                what, where=self.shown, found=redacted_message(error),
                todo="Check that HF_TOKEN has the permission to write to this repository"
                if status in (401, 403)
                else advice_on(error) or "The Hub keeps completed files: run the command again to resume",
            ) from None  # fmt: skip


def _same(file: ReleaseFile, entry: RepoFile) -> bool:
    """Return whether the repository's file is this one: large files by SHA-256, others by git's hash."""
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == file.sha256)
    return bool(entry.size == file.bytes and entry.blob_id == git_blob_of(file.path))


def _batches(files: Sequence[ReleaseFile]) -> Iterator[list[ReleaseFile]]:
    """Yield the files in batches: the progress bar advances after each batch."""
    batch: list[ReleaseFile] = []
    for file in files:
        size = sum(one.bytes for one in batch) + file.bytes
        if batch and (len(batch) == _BATCH_FILES or size > _BATCH_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch
