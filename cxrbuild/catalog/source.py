"""A source: where its files are, how they are verified, and how its metadata maps onto our columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, StringConstraints, model_validator

from cxrbuild.catalog.column import Columns
from cxrbuild.catalog.credit import CITATION_FORM
from cxrbuild.catalog.declarations import (
    CATALOG,
    Declaration,
    Word,
    find_declaration,
    read_toml,
    shipped_names,
)
from cxrbuild.catalog.lung_masks import LungMasks
from cxrbuild.catalog.reader import Reader, read_reader
from cxrbuild.catalog.withdrawal import Withdrawal, Withdrawals, read_withdrawals
from cxrbuild.errors import DeclarationError
from cxrbuild.notebook import result_html

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
Sha1 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


SHORT = 8
"""How many digits of a hash name a version in a sentence."""


class Download(Declaration):
    """Where the source comes from, and how its archive is laid out."""

    url: str | None = Field(None, description="address of the archive; not needed with `--from`")
    mirrors: dict[Name, str] = Field(
        default_factory=dict, description="other addresses, chosen by `--from SOURCE=MIRROR`"
    )
    strip: int = Field(0, ge=0, description="how many leading folders of the archive to remove")
    ignore: list[str] = Field(
        default_factory=list, description="glob patterns of paths in the archive that are not the source's"
    )
    relocate: bool = Field(
        False,
        strict=True,
        description="move a file to the only place in the pin's listing with its name and parent folder",
    )
    credentials: Literal["kaggle"] | None = Field(
        None, description="which credentials to send, if the environment has them"
    )


class Pin(Declaration):
    """The version of the source, and how it is verified.

    Either ``tree`` (a git tree hash, which verifies names, modes and bytes) or ``sha256`` with ``listing``
    (the archive's bytes and the names in it). A source with neither cannot be verified: it is unpinned.
    """

    commit: Sha1 | None = Field(None, description="upstream's commit, for the reader")
    date: str | None = Field(None, description="its date, for the reader")
    tree: Sha1 | None = Field(None, description="git tree hash of the whole source")
    sha256: Sha256 | None = Field(None, description="SHA-256 of the archive")
    bytes: int | None = Field(None, ge=0, description="size of the archive in bytes")
    listing: str | None = Field(
        None,
        description="file next to the declaration: `mode blob path` lines (.tsv) or one path a line (.txt)",
    )

    @model_validator(mode="after")
    def _check_listing(self) -> Pin:
        if self.sha256 and not self.listing:
            raise ValueError("`sha256` needs `listing`: after extraction only the names can be checked")
        return self

    def declared(self) -> dict[str, str | int]:
        """Return the keys that are declared, and their values."""
        return self.model_dump(exclude_none=True)

    @property
    def verifies(self) -> bool:
        """Whether files can be compared with it."""
        return self.tree is not None or self.sha256 is not None

    @property
    def revision(self) -> str:
        """What names the version: the commit, else the tree's hash, else the archive's; empty if unpinned."""
        return self.commit or self.tree or self.sha256 or ""

    @property
    def label(self) -> str:
        """The version as a sentence names it, by its first digits and its date: ``584034aa (2020-06-22)``."""
        return self.revision[:SHORT] + (f" ({self.date})" if self.date else "")


def shown_listing(listing: str) -> str:
    """Return the listing of a pin as a user knows it: its file, or that it is shipped with the program."""
    return "shipped" if listing.startswith("../listings/") else listing


# A source can have a million files: `slots` halves the memory of their entries.
@dataclass(frozen=True, slots=True)
class Listed:
    """A file that the pin's listing names."""

    mode: str | None
    blob: str | None


class Source(Declaration):
    """A source of images, as ``catalog/sources/*.toml`` or a user's own file declares it."""

    name: Name = Field(description="its name: the folder under DATA/sources and the column `source`")
    title: str = Field(description="its full name")
    homepage: str | None = Field(None, description="address of a page about it")
    description: str = Field("", description="what a reader should know about it")
    citation: str | None = Field(None, description=f"how to cite it, {CITATION_FORM}")
    license: str = Field("unknown", description="SPDX identifier for rows whose own licence is blank")
    public: bool = Field(
        False,
        strict=True,
        description="whether its files are published, so that their names and patient numbers are public; "
        "if not, a public release lists none of its excluded images",
    )
    patient_namespace: Name | None = Field(
        None,
        description="whose patient numbers it has: an equal number in sources with the same namespace is one "
        "patient, who stays in one split; by default the numbers are its own, and equal ones are reported",
    )
    finding_separator: Word | None = Field(
        None, min_length=1, description="the text between several findings of one row, such as `,`"
    )
    download: Download = Field(Download.model_validate({}), description="where it comes from")
    pin: Pin = Field(Pin.model_validate({}), description="how it is verified")
    reader: Annotated[SerializeAsAny[Reader], BeforeValidator(read_reader)] = Field(
        description="how its metadata is read"
    )
    columns: Columns = Field(Columns.model_validate({}), description="how its values map onto our columns")
    withdrawn: str | None = Field(
        None,
        description="file next to the declaration: images and patients that were withdrawn "
        "(`path,date,reason`, then `identifier`, `patient` and `blob` where needed)",
    )
    lung_masks: LungMasks | None = Field(None, description="masks of the lungs, which `explain` reads")
    file: Path = Field(exclude=True, description="the declaration's file; not a key of it")

    @model_validator(mode="after")
    def _check_separator(self) -> Source:
        if self.reader.differing_rows == "join" and self.finding_separator is None:
            raise ValueError(
                "reader.differing_rows: `join` needs the source's `finding_separator`, such as "
                '`finding_separator = "|"` next to `title`'
            )
        names = self.columns.finding.columns if self.columns.finding is not None else None
        if names is not None and len(names) > 1:
            if self.finding_separator is None:
                raise ValueError("columns.finding: several `columns` need the source's `finding_separator`")
            if both := [name for name in names if self.finding_separator in name]:
                raise ValueError(
                    f"columns.finding.columns: {both[0]!r} contains the `finding_separator` "
                    f"{self.finding_separator!r}; declare another one"
                )
        return self

    @model_validator(mode="after")
    def _check_files(self) -> Source:
        if self.pin.listing and not self._listing_path.is_file():
            raise ValueError(
                f"pin.listing: no file {self.pin.listing} in {self._listing_path.parent}; copy it there, or "
                "remove the line `listing`: `cxrbuild fetch --pin` then writes it again, from pinned files"
            )
        if self.withdrawn and not (self.file.parent / self.withdrawn).is_file():
            raise ValueError(f"withdrawn: no file {self.withdrawn} in {self.file.parent}")
        return self

    @property
    def _listing_path(self) -> Path:
        assert self.pin.listing
        return self.file.parent / self.pin.listing

    def _repr_html_(self) -> str:
        return result_html(
            f"Source {self.name}: {self.title}",
            rows=[
                ["licence", self.license],
                ["address", self.download.url or "none"],
                ["commit", self.pin.commit],
                ["git tree", self.pin.tree],
                ["archive SHA-256", self.pin.sha256],
                ["files", None if self.listing is None else len(self.listing)],
            ],
        )

    @property
    def address(self) -> str:
        """The source as an argument of a command: the name of a shipped one, the path of any other."""
        return self.name if self.file.parent == CATALOG / "sources" else str(self.file)

    @property
    def numbered_by(self) -> str:
        """The namespace of its patient numbers: its own name where it declares none."""
        return self.patient_namespace or self.name

    @property
    def hashes_patients(self) -> bool:
        """Whether it can have patient numbers, and replaces them by a hash."""
        named = self.reader.reads_images or self.columns.patient_id is not None
        return named and self.reader.patient_id == "hash"

    @property
    def pinned(self) -> bool:
        """Whether the declaration states how to verify the source."""
        return self.pin.verifies

    @property
    def withdrawals_place(self) -> str:
        """The file of withdrawals, as a message names it."""
        return str(self.file.parent / (self.withdrawn or ""))

    @cached_property
    def all_withdrawals(self) -> Withdrawals:
        """The images and patients that were withdrawn.

        Raises
        ------
        DeclarationError
            The file of withdrawals does not fit.
        """
        return read_withdrawals(self.file.parent / self.withdrawn) if self.withdrawn else Withdrawals()

    @property
    def withdrawals(self) -> Mapping[str, Withdrawal]:
        """The images that were withdrawn by name, by path; see `all_withdrawals`."""
        return self.all_withdrawals.images

    @cached_property
    def listing(self) -> dict[str, Listed] | None:
        """The files of the pin by path, ``None`` if the declaration lists none."""
        lines = self._listed
        if lines is None:
            return None
        return {path: listed for path, listed in lines.items() if listed.blob != ""}

    @cached_property
    def former(self) -> dict[str, str]:
        """The files of earlier pins that the pin no longer has, by path the last one: its commit or tree.

        Empty is a pin that is not known: earlier versions of the program recorded the paths alone. Images
        that were withdrawn can be of these files.
        """
        lines = (self._listed or {}).items()
        return {path: listed.mode or "" for path, listed in lines if listed.blob == ""}

    @property
    def _listed(self) -> dict[str, Listed] | None:
        """The lines of the listing by path; those of former files have their last pin alone."""
        if not self.pin.listing:
            return None
        try:
            text = self._listing_path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise DeclarationError(
                "not a listing in UTF-8", where=self._listing_path, found=error,
                todo="Save the listing in UTF-8, or write it again with `cxrbuild fetch --pin`",
            ) from None  # fmt: skip
        lines = text.removesuffix("\n").split("\n")
        if self._listing_path.suffix != ".tsv":
            return {line: Listed(None, None) for line in lines if line}
        rows = [line.split("\t") for line in lines[1:]]
        if lines[:1] != ["mode\tblob\tpath"] or any(len(row) != 3 for row in rows):
            raise DeclarationError(
                "not a listing",
                where=self._listing_path,
                expected="tab-separated lines: mode, blob, path",
                todo="Write the listing again with `cxrbuild fetch --pin`",
            )
        return {path: Listed(sys.intern(mode), blob) for mode, blob, path in rows}


def source_names() -> list[str]:
    """Return the names of the shipped sources."""
    return shipped_names("sources")


def read_source(name: str, base: Path | None = None) -> Source:
    """Read a source.

    Parameters
    ----------
    name
        The name of a shipped source, or the path of a TOML file.
    base
        The folder that a relative path starts from; default the current one.

    Raises
    ------
    DeclarationError
        There is no such source, or its declaration has problems.
    """
    path = find_declaration("source", "sources", name, base)
    return read_toml(path, Source, file=path)
