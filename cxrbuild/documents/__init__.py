"""What a release says of itself, made from its data alone: so that it can be made again, and compared."""

from cxrbuild.documents.audit_notes import audited_contents
from cxrbuild.documents.croissant import croissant
from cxrbuild.documents.texts import texts

__all__ = ["audited_contents", "croissant", "texts"]
