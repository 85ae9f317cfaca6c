"""Releases as dataset repositories of the Hugging Face Hub.

A large file's content is kept under its SHA-256, so what arrived is not sent again. The files become visible
with one commit that holds all of them, ``SHA256SUMS`` too: there is no moment at which a part can be seen.
A repository may go from one version to the next, since it keeps the former under its tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.artifact import names, open_release, read_sums
from cxrbuild.artifact.names import SUMS
from cxrbuild.comparison import parse_version
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import git_blob_of
from cxrbuild.progress import Progress
from cxrbuild.publishing.release import Release, ReleaseFile
from cxrbuild.publishing.secrets import told
from cxrbuild.publishing.sending import Step

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ADDRESS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/?")
# What a repository is made with; the card is replaced by the release's.
_OF_THE_HUB = frozenset({".gitattributes", "README.md"})
_PART_BYTES = 1 << 30
_PART_FILES = 64


def open_hub(address: str) -> tuple[HfApi, str]:
    """Return the service and the name of a repository there.

    The service is the Hub, or ``HF_ENDPOINT``; the token ``HF_TOKEN``, or the one that `hf auth login` keeps.

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
            "not the address of a dataset", where=address, expected="hf://datasets/OWNER/NAME"
        )
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise CxrbuildError(
            "huggingface_hub is not installed", where=address, todo="Run `pip install 'cxrbuild[hub]'`"
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
        What goes there.
    """

    def __init__(self, api: HfApi, repo: str, release: Release) -> None:
        self.api = api
        self.repo = repo
        self.release = release
        self.shown = f"hf://datasets/{repo}"
        self.exists = False
        self.tags: dict[str, str] = {}
        self.head: str | None = None
        self.before: set[str] = set()

    def close(self) -> None:
        """Do nothing: the connections are huggingface_hub's."""

    def steps(self) -> list[Step]:
        """Return what is to be in the repository, and what of that is.

        Raises
        ------
        CxrbuildError
            The repository holds something else.
        """
        with self._words("cannot be read"):
            held = self._read()
        files = {**self.release.files, SUMS: self.release.sums}
        whole = SUMS in held and _same(self.release.sums, held[SUMS])
        if SUMS in held and not whole:
            with self._words("cannot be read"):
                self._refuse_other()
        stray = sorted(set(held) - set(files) - self.before - _OF_THE_HUB)
        if stray:
            raise CxrbuildError(
                "the repository holds files that are not of this release", where=self.shown,
                found=name_some(stray, 5), todo="Name a repository that is new or empty",
            )  # fmt: skip
        return [
            Step(name, f"{self.shown}/{name}", file.bytes, held=name in held and _same(file, held[name]))
            for name, file in files.items()
        ]

    def send(self, steps: Sequence[Step], *, jobs: int, progress: Progress) -> dict[str, Any]:
        """Send what is not there, then show all of it with one commit and a tag.

        Raises
        ------
        CxrbuildError
            The Hub refuses, or fails.
        """
        missing = [step for step in steps if not step.held]
        with self._words("cannot be written"):
            commit = self._commit(missing, jobs, progress) if missing else self.head
            if self.release.version not in self.tags:
                self.api.create_tag(
                    self.repo, tag=self.release.version, revision=commit, repo_type="dataset", exist_ok=True
                )
        return {
            "url": f"{self.api.endpoint}/datasets/{self.repo}",
            "commit": commit,
            "tag": self.release.version,
        }

    def _read(self) -> dict[str, Any]:
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

    def _refuse_other(self) -> None:
        """Refuse what is there, unless it is an earlier version of the same dataset."""
        with TemporaryDirectory() as folder:
            for name in (names.SUMS, names.BUILD):
                self.api.hf_hub_download(
                    self.repo, name, revision=self.head, repo_type="dataset", local_dir=folder
                )
            before = open_release(Path(folder))
            files = set(read_sums(Path(folder)))
        older = parse_version(before.version) < parse_version(self.release.version)
        if before.name != self.release.name or not older or self.release.version in self.tags:
            raise CxrbuildError(
                "the repository holds another release", where=self.shown, expected=self.release.edition,
                found=f"{before.name} {before.version}, not the same content",
                todo="A release never changes, and versions only grow: name another repository",
            )  # fmt: skip
        self.before = files

    def _commit(self, missing: Sequence[Step], jobs: int, progress: Progress) -> str:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        if not self.exists:
            self.api.create_repo(self.repo, repo_type="dataset", exist_ok=True)
        files = {**self.release.files, SUMS: self.release.sums}
        additions = []
        with progress(f"publish {self.release.edition}", sum(step.bytes for step in missing), "B") as bar:
            for part in _parts([files[step.name] for step in missing]):
                operations = [CommitOperationAdd(file.name, str(file.path)) for file in part]
                for operation, file in zip(operations, part, strict=True):
                    operation.upload_info.sha256 = bytes.fromhex(file.sha256)
                self.api.preupload_lfs_files(
                    self.repo, operations, repo_type="dataset", num_threads=jobs, free_memory=False
                )
                additions += operations
                bar.update(sum(file.bytes for file in part))
        gone = [CommitOperationDelete(name) for name in sorted(self.before - set(files))]
        info = self.api.create_commit(
            self.repo, [*additions, *gone], commit_message=f"Release {self.release.edition}",
            repo_type="dataset", num_threads=jobs, parent_commit=self.head,
        )  # fmt: skip
        self.head = info.oid
        self.before = set()
        held = self._read()
        if lost := [name for name, file in files.items() if name not in held or not _same(file, held[name])]:
            raise CxrbuildError(
                "files that were sent are not there", where=self.shown, found=name_some(lost, 5),
                todo="Look whether the repository's .gitignore names them",
            )  # fmt: skip
        return info.oid

    @contextmanager
    def _words(self, what: str) -> Iterator[None]:
        try:
            yield
        except CxrbuildError:
            raise
        # huggingface_hub, httpx and hf_xet raise errors of their own kinds.
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            raise CxrbuildError(
                what, where=self.shown, found=told(error),
                todo="Look whether HF_TOKEN may write there" if status in (401, 403)
                else "What arrived is kept: run the command again to go on",
            ) from None  # fmt: skip


def _same(file: ReleaseFile, entry: Any) -> bool:
    """Tell whether the repository's file is this one: a large file by SHA-256, another by git's hash."""
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == file.sha256)
    return bool(entry.size == file.bytes and entry.blob_id == git_blob_of(file.path))


def _parts(files: Sequence[ReleaseFile]) -> Iterator[list[ReleaseFile]]:
    """Yield the files in groups, of which each is told as done when it is."""
    part: list[ReleaseFile] = []
    for file in files:
        if part and (len(part) == _PART_FILES or sum(one.bytes for one in part) + file.bytes > _PART_BYTES):
            yield part
            part = []
        part.append(file)
    if part:
        yield part
