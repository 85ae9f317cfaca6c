"""The documents of a release, generated from its data alone, so that `verify` can generate them again."""

from cxrbuild.documents.attribution import describe_citations
from cxrbuild.documents.audit_notes import measured_contents
from cxrbuild.documents.changelog import CHANGELOG_TITLE, changelog_head
from cxrbuild.documents.croissant import croissant
from cxrbuild.documents.license_table import LicenseRow, describe_attribution, list_licenses
from cxrbuild.documents.rebuild import differing_keys, is_shipped
from cxrbuild.documents.ro_crate import ro_crate
from cxrbuild.documents.texts import texts

__all__ = [
    "CHANGELOG_TITLE",
    "LicenseRow",
    "changelog_head",
    "croissant",
    "describe_attribution",
    "describe_citations",
    "differing_keys",
    "is_shipped",
    "list_licenses",
    "measured_contents",
    "ro_crate",
    "texts",
]
