"""Releases as deposits: Zenodo, and any other service that runs InvenioRDM.

A record has no folders and at most a hundred files, so each folder of a release is sent as one tar. The
service reports the MD5 of every completed file, so these files are not sent again. A record is published
only on request, since its files can never change afterwards.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypedDict

from cxrbuild.artifact import names
from cxrbuild.artifact.names import SUMS
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import read_json, write_json
from cxrbuild.http import RetryableError
from cxrbuild.progress import Progress
from cxrbuild.publishing.archive import DepositFile, deposit_files
from cxrbuild.publishing.invenio import FileList, Invenio, RecordDocument, RecordFile, problems
from cxrbuild.publishing.record import RecordMetadata, record_metadata
from cxrbuild.publishing.release import OutgoingRelease
from cxrbuild.publishing.sending import FileToSend, Location, Report, send_all

_logger = logging.getLogger(__name__)

_MAX_FILES = 100


class Draft(TypedDict):
    """The file next to a release that names its draft."""

    service: str
    record: str


class Deposit:
    """A record at a deposit service.

    A file next to the release's folder names the draft, so that a run can resume in it.

    Parameters
    ----------
    release
        The release to send.
    service
        The service.
    record
        The id of a draft to fill or of a published record to make a new version of; empty for a new record.
    final
        Whether to publish the record.

    Raises
    ------
    CxrbuildError
        The release has more files than a record may have.
    """

    def __init__(self, release: OutgoingRelease, service: Invenio, record: str, *, final: bool) -> None:
        self.release = release
        self.service = service
        self.named = record
        self.final = final
        self.shown = f"{self.service.base} (record {self.named or 'new'})"
        self.draft_file = release.folder.resolve().with_name(f"{release.folder.resolve().name}.zenodo.json")
        sums = DepositFile(SUMS, [release.sums], is_tar=False)
        self.files = {file.name: file for file in [*deposit_files(release), sums]}
        if len(self.files) > _MAX_FILES:
            raise CxrbuildError(
                "the release has more files than a record can have", where=release.folder,
                expected=f"{_MAX_FILES} at most", found=len(self.files),
                todo="Name a target that is not a deposit",
            )  # fmt: skip
        self.metadata = record_metadata(release, service.publisher)
        self.draft: RecordDocument | None = None
        self.published: RecordDocument | None = None
        self.entries: dict[str, RecordFile] = {}

    def close(self) -> None:
        """Close the connections."""
        self.service.close()

    def files_to_send(self) -> list[FileToSend]:
        """Return the files to be in the record, as if it were empty."""
        return [
            FileToSend(name, f"{self._address()}/{name}", len(file), held=False)
            for name, file in self.files.items()
        ]

    def steps(self) -> list[FileToSend]:
        """Return the files to be in the record, and which of them are in it.

        Raises
        ------
        CxrbuildError
            There is no such record, or it holds other files.
        """
        record = self.named or self._read_draft_file()
        if record:
            self._find_record(record)
        if self.draft:
            self._require_own_draft(self.draft)
        return [replace(step, held=self._holds(self.files[step.name])) for step in self.files_to_send()]

    def send(self, steps: Sequence[FileToSend], *, jobs: int, progress: Progress) -> Location:
        """Create or resume the draft, send the missing files, and publish it if requested.

        Raises
        ------
        CxrbuildError
            The service refuses a request, or the retry policy ended.
        """
        if self.published:
            return _location(self.published)
        draft = self.draft = self._describe_draft()
        missing = [step for step in steps if not self._holds(self.files[step.name])]
        files = [step for step in missing if step.name != SUMS]
        send = partial(self._send, draft["id"])
        for batch in (files, [step for step in missing if step.name == SUMS]):
            if batch:
                send_all(batch, send, jobs=jobs, title=f"publish {self.release.label}", progress=progress)
        if self.final:
            self.service.request("POST", self._path("actions", "publish"), repeatable=False)
            return _location(self.service.request("GET", self.service.path(draft["id"])))
        return _location(draft)

    def _read_draft_file(self) -> str | None:
        if not self.draft_file.is_file():
            return None
        draft: Draft = read_json(self.draft_file)
        return draft["record"] if draft.get("service") == self.service.base else None

    def _find_record(self, record: str) -> None:
        draft = self.service.request("GET", self.service.path(record, "draft"))
        if draft and not draft.get("is_published"):
            self.draft = draft
            self.entries = self._entries(self._path("files"))
            _logger.info("resuming the draft %s: %d files", record, len(self.entries))
            return
        published = self.service.request("GET", self.service.path(record))
        if not published:
            hint = (
                "Check the record's id" if self.named else f"Remove {self.draft_file} to create a new record"
            )
            raise CxrbuildError("no such record", where=f"{self.service.base}, {record}", todo=hint)
        self.entries = self._entries(self.service.path(record, "files"))
        if set(self.entries) == set(self.files) and all(map(self._holds, self.files.values())):
            self.published = published
        elif not self.named:
            raise CxrbuildError(
                "this version was published with other content",
                where=f"{self.service.base}, record {record}",
                todo=f"A release never changes: publish a new version to zenodo:{record}",
            )  # fmt: skip
        else:
            self.entries = {}

    def _entries(self, path: str) -> dict[str, RecordFile]:
        listed: FileList | None = self.service.request("GET", path)
        return {entry["key"]: entry for entry in (listed or {}).get("entries", [])}

    def _holds(self, file: DepositFile) -> bool:
        entry = self.entries.get(file.name, {})
        complete = entry.get("status", "completed") == "completed" and entry.get("size") == len(file)
        return complete and entry.get("checksum") == f"md5:{file.md5()}"

    def _require_own_draft(self, draft: RecordDocument) -> None:
        version = draft.get("metadata", {}).get("version")
        stray = sorted(set(self.entries) - set(self.files))
        other = SUMS in self.entries and not self._holds(self.files[SUMS])
        pending = self.entries.get(SUMS, {}).get("status") != "completed"
        if stray or (other and not pending) or version not in (None, "", self.release.version):
            raise CxrbuildError(
                "the draft holds other content", where=f"{self.service.base}, record {draft['id']}",
                expected=self.release.label,
                found=name_some(stray, 5) or f"version {version or 'unknown'} with another {SUMS}",
                todo="Name another record, or delete the draft",
            )  # fmt: skip

    def _describe_draft(self) -> RecordDocument:
        """Return the draft: created if necessary, with the release's metadata and a reserved DOI."""
        draft = self.draft
        if draft is None and self.named:
            draft = self.service.request("POST", self.service.path(self.named, "versions"))
            if draft:
                self.draft = draft
                _logger.info("the draft of a new version of %s: %s", self.named, draft["id"])
                self.entries = self._entries(self._path("files"))
                self._require_own_draft(draft)
        elif draft is None:
            draft = self.service.request("POST", "/api/records", _document(self.metadata), repeatable=False)
            note: Draft = {"service": self.service.base, "record": draft["id"]}
            write_json(self.draft_file, note)
            _logger.info("created the draft %s, named in %s", draft["id"], self.draft_file)
        if draft is None:
            raise CxrbuildError(
                "the service creates no new version of this record",
                where=f"{self.service.base}, {self.named}",
                todo="Check the number of the record, and that it is published and yours",
            )
        self.draft = draft
        # A draft that the service made can name its publisher better than its address does.
        publisher = draft.get("metadata", {}).get("publisher") or self.metadata["publisher"]
        # The service removes fields that are not sent back, the reserved DOI among them.
        kept = {key: value for key, value in draft.items() if key in ("pids", "custom_fields") and value}
        document = _document({**self.metadata, "publisher": publisher}) | kept
        draft = self.service.request("PUT", self._path(), document)
        if draft is None:
            raise CxrbuildError("the draft was deleted", where=self._address(), todo="Run the command again")
        if wrong := problems(draft):
            raise CxrbuildError(
                "the service refuses the metadata", where=self.release.folder / names.CROISSANT,
                found=name_some(wrong),
                todo="Correct these fields and make the release again; the draft is kept",
            )  # fmt: skip
        if not draft.get("pids", {}).get("doi"):
            draft = self.service.request("POST", self._path("pids", "doi"), repeatable=False)
        described: RecordDocument = draft
        self.draft = described
        return described

    def _send(self, record: str, step: FileToSend, report: Report) -> None:
        file, path = self.files[step.name], partial(self.service.path, record, "draft", "files")
        alive = partial(report, 0)
        if step.name in self.entries:
            _logger.debug("removing an incomplete file: %s", step.name)
            # An interrupted run or a failed try left an incomplete file.
            self.service.request_once("DELETE", path(step.name), alive=alive)
        self.service.request_once("POST", path(), [{"key": step.name}], alive=alive)
        self.entries[step.name] = {}
        content = _Upload(file, report)
        self.service.request_once("PUT", path(step.name, "content"), content=content, alive=alive)
        done = self.service.request_once("POST", path(step.name, "commit"), alive=partial(report, step.bytes))
        if not done or done.get("checksum") != f"md5:{content.digest}":
            raise RetryableError("the service received other bytes than were sent")

    def _path(self, *parts: str) -> str:
        assert self.draft
        return self.service.path(self.draft["id"], "draft", *parts)

    def _address(self) -> str:
        record = self.draft or self.published
        return f"{self.service.base}/records/{record['id'] if record else 'NEW'}/files"


class _Upload:
    """The bytes of a file; the iteration reports progress and hashes the bytes."""

    def __init__(self, file: DepositFile, report: Report) -> None:
        self.file = file
        self.report = report
        self.digest = ""

    def __len__(self) -> int:
        return len(self.file)

    def __iter__(self) -> Iterator[bytes]:
        digest, done = hashlib.md5(usedforsecurity=False), 0
        for block in self.file:
            digest.update(block)
            done += len(block)
            self.report(done)
            yield block
        self.digest = digest.hexdigest()


def _document(metadata: RecordMetadata) -> dict[str, object]:
    """Return the JSON document that creates or replaces a draft."""
    return {
        "access": {"record": "public", "files": "public"},
        "files": {"enabled": True},
        "metadata": metadata,
    }


def _location(record: RecordDocument) -> Location:
    """Return where a record is, and whether it is published."""
    return {
        "record": record["id"],
        "url": record.get("links", {}).get("self_html"),
        "doi": record.get("pids", {}).get("doi", {}).get("identifier"),
        "published": bool(record.get("is_published")),
    }
