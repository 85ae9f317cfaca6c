"""Releases as deposits: Zenodo, and any other service that runs InvenioRDM.

A record has no folders and at most a hundred files, so each folder of a release goes as one tar. The service
tells the MD5 of every file that it holds whole: that is what says which need not be sent again. The record is
published only when asked to be, since a published record's files can never change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from cxrbuild.artifact.names import SUMS
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import read_json, write_json
from cxrbuild.http import RetryableError
from cxrbuild.progress import Progress
from cxrbuild.publishing.archive import Item, items
from cxrbuild.publishing.invenio import Invenio, faults
from cxrbuild.publishing.record import record_metadata
from cxrbuild.publishing.release import Release
from cxrbuild.publishing.sending import Step, Tell, send_all

_MOST_FILES = 100


class Deposit:
    """A record at a deposit service.

    Which draft a release went to is noted beside its folder, so that a run that was stopped goes on there.

    Parameters
    ----------
    release
        What goes there.
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

    def __init__(self, release: Release, service: Invenio, record: str, *, final: bool) -> None:
        self.release = release
        self.service = service
        self.given = record
        self.final = final
        self.shown = f"{self.service.base} (record {self.given or 'to be made'})"
        self.note = release.folder.resolve().with_name(f"{release.folder.resolve().name}.zenodo.json")
        self.items = {item.name: item for item in [*items(release), Item(SUMS, [release.sums], packed=False)]}
        if len(self.items) > _MOST_FILES:
            raise CxrbuildError(
                "more files than a record may have", where=release.folder, expected=f"{_MOST_FILES} at most",
                found=len(self.items), todo="Put some of them into a folder: a folder goes as one tar",
            )  # fmt: skip
        self.metadata = record_metadata(release)
        self.draft: dict[str, Any] | None = None
        self.published: dict[str, Any] | None = None
        self.entries: dict[str, dict[str, Any]] = {}

    def close(self) -> None:
        """Close the connections."""
        self.service.close()

    def steps(self) -> list[Step]:
        """Return what is to be in the record, and what of that is.

        Raises
        ------
        CxrbuildError
            There is no such record, or it holds something else.
        """
        record = self.given or self._noted()
        if record:
            self._look_up(record)
        if self.draft:
            self._refuse_foreign(self.draft)
        return [
            Step(name, f"{self._place()}/{name}", len(item), held=self._holds(item))
            for name, item in self.items.items()
        ]

    def send(self, steps: Sequence[Step], *, jobs: int, progress: Progress) -> dict[str, Any]:
        """Make the draft or go on with it, send what it lacks, ``SHA256SUMS`` last, and publish if asked to.

        Raises
        ------
        CxrbuildError
            The service refuses, or fails too often.
        """
        if self.published:
            return _told(self.published)
        draft = self.draft = self._described()
        missing = [step for step in steps if not self._holds(self.items[step.name])]
        files = [step for step in missing if step.name != SUMS]
        send = partial(self._send, draft["id"])
        for together in (files, [step for step in missing if step.name == SUMS]):
            if together:
                send_all(
                    together, send, jobs=jobs, title=f"publish {self.release.edition}", progress=progress
                )
        if self.final:
            self.service.ask("POST", self._path("actions", "publish"), again=False)
            return _told(self.service.ask("GET", self.service.path(draft["id"])))
        return _told(draft)

    def _noted(self) -> str | None:
        if not self.note.is_file():
            return None
        noted = read_json(self.note)
        return noted["record"] if noted.get("service") == self.service.base else None

    def _look_up(self, record: str) -> None:
        draft = self.service.ask("GET", self.service.path(record, "draft"))
        if draft and not draft.get("is_published"):
            self.draft = draft
            self.entries = self._entries(self._path("files"))
            return
        published = self.service.ask("GET", self.service.path(record))
        if not published:
            hint = "Name the record itself" if self.given else f"Remove {self.note} to make a new record"
            raise CxrbuildError("no such record", where=f"{self.service.base}, {record}", todo=hint)
        self.entries = self._entries(self.service.path(record, "files"))
        if set(self.entries) == set(self.items) and all(map(self._holds, self.items.values())):
            self.published = published
        elif not self.given:
            raise CxrbuildError(
                "this release was published with other content",
                where=f"{self.service.base}, record {record}",
                todo=f"A release never changes: give it a new version, and publish it to zenodo:{record}",
            )  # fmt: skip
        else:
            self.entries = {}

    def _entries(self, path: str) -> dict[str, dict[str, Any]]:
        return {entry["key"]: entry for entry in (self.service.ask("GET", path) or {}).get("entries", [])}

    def _holds(self, item: Item) -> bool:
        entry = self.entries.get(item.name, {})
        whole = entry.get("status", "completed") == "completed" and entry.get("size") == len(item)
        return whole and entry.get("checksum") == f"md5:{item.md5()}"

    def _refuse_foreign(self, draft: dict[str, Any]) -> None:
        version = draft.get("metadata", {}).get("version")
        stray = sorted(set(self.entries) - set(self.items))
        other = SUMS in self.entries and not self._holds(self.items[SUMS])
        pending = self.entries.get(SUMS, {}).get("status") != "completed"
        if stray or (other and not pending) or version not in (None, "", self.release.version):
            raise CxrbuildError(
                "the draft holds something else", where=f"{self.service.base}, record {draft['id']}",
                expected=self.release.edition,
                found=name_some(stray, 5) or f"version {version or 'unknown'} with another {SUMS}",
                todo="Name another record, or delete the draft",
            )  # fmt: skip

    def _described(self) -> dict[str, Any]:
        """Return the draft: made if need be, described as the release is, with a DOI reserved."""
        document = {
            "access": {"record": "public", "files": "public"},
            "files": {"enabled": True},
            "metadata": self.metadata,
        }
        draft = self.draft
        if draft is None and self.given:
            draft = self.service.ask("POST", self.service.path(self.given, "versions"))
            if draft:
                self.draft = draft
                self.entries = self._entries(self._path("files"))
                self._refuse_foreign(draft)
        elif draft is None:
            draft = self.service.ask("POST", "/api/records", document, again=False)
            write_json(self.note, {"service": self.service.base, "record": draft["id"]})
        if draft is None:
            raise CxrbuildError(
                "no new version can be made of it", where=f"{self.service.base}, {self.given}"
            )
        self.draft = draft
        # What is not sent back is removed: the reserved DOI is among it.
        kept = {key: draft[key] for key in ("pids", "custom_fields") if draft.get(key)}
        draft = self.service.ask("PUT", self._path(), document | kept)
        if draft is None:
            raise CxrbuildError("the draft is gone", where=self._place(), todo="Run the command again")
        if wrong := faults(draft):
            raise CxrbuildError(
                "the service does not take the description", where=self.release.folder / "croissant.json",
                found=name_some(wrong), todo="The draft is kept; correct what it names and release anew",
            )  # fmt: skip
        if not draft.get("pids", {}).get("doi"):
            draft = self.service.ask("POST", self._path("pids", "doi"), again=False)
        self.draft = draft
        return dict(draft)

    def _send(self, record: str, step: Step, tell: Tell) -> None:
        item, path = self.items[step.name], partial(self.service.path, record, "draft", "files")
        alive = partial(tell, 0)
        if step.name in self.entries:
            # Begun by a run that was stopped, or by a try that failed.
            self.service.once("DELETE", path(step.name), alive=alive)
        self.service.once("POST", path(), [{"key": step.name}], alive=alive)
        self.entries[step.name] = {}
        content = _Sent(item, tell)
        self.service.once("PUT", path(step.name, "content"), content=content, alive=alive)
        done = self.service.once("POST", path(step.name, "commit"), alive=partial(tell, step.bytes))
        if not done or done.get("checksum") != f"md5:{content.digest}":
            raise RetryableError("the service holds other bytes than were sent")

    def _path(self, *parts: str) -> str:
        assert self.draft
        return self.service.path(self.draft["id"], "draft", *parts)

    def _place(self) -> str:
        record = self.draft or self.published
        return f"{self.service.base}/records/{record['id'] if record else 'NEW'}/files"


class _Sent:
    """The bytes of a file on their way, told and hashed as they go."""

    def __init__(self, item: Item, tell: Tell) -> None:
        self.item = item
        # Not `tell`: requests takes what has that for a file.
        self.told_to = tell
        self.digest = ""

    def __len__(self) -> int:
        return len(self.item)

    def __iter__(self) -> Iterator[bytes]:
        digest, done = hashlib.md5(usedforsecurity=False), 0
        for block in self.item:
            digest.update(block)
            done += len(block)
            self.told_to(done)
            yield block
        self.digest = digest.hexdigest()


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a reader wants to know of a record."""
    return {
        "record": record["id"],
        "url": record.get("links", {}).get("self_html"),
        "doi": record.get("pids", {}).get("doi", {}).get("identifier"),
        "published": bool(record.get("is_published")),
    }
