"""Check the signature of a release."""

from __future__ import annotations

from collections.abc import Iterator

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.errors import CxrbuildError
from cxrbuild.signature import SignatureError, parse_signature, require_library
from cxrbuild.verification.context import Context


def check_signature(context: Context) -> Iterator[Finding]:
    """Find a signature that is not one of ``SHA256SUMS``, or not by one of the signers that were named."""
    signature_text = context.read_text(names.SIGNATURE)
    if signature_text is None:
        if context.signers is None:
            raise NotApplicable("the release is not signed")
        yield Finding("is missing", names.SIGNATURE)
        return
    if context.signers is None:
        try:
            require_library()
        except CxrbuildError as error:
            raise NotApplicable(f"{error.what}, so the signature was not checked") from None
    try:
        signature = parse_signature(signature_text)
        signature.check((context.folder / names.SUMS).read_bytes())
    except SignatureError as error:
        yield Finding(str(error), names.SIGNATURE)
        return
    if context.signers is not None and signature.public_key not in context.signers:
        yield Finding(f"is by {signature.fingerprint}, which is no named signer", names.SIGNATURE)


def signer_of(context: Context) -> str | None:
    """Return the fingerprint of the key in the signature of a release, ``None`` without a readable one."""
    text = context.read_text(names.SIGNATURE) if context.kind == "release" else None
    try:
        return None if text is None else parse_signature(text).fingerprint
    except SignatureError:
        return None
