"""Published lists of files with a split and a class: read them, take a split from one, audit them."""

from cxrbuild.lists.audit import ListAuditResult, audit_rows, require_clean
from cxrbuild.lists.context import ListContext, ListedDataset, ListPair
from cxrbuild.lists.declared import list_files, read_declared_list, resolve_sources
from cxrbuild.lists.matching import match_images, match_members
from cxrbuild.lists.membership import add_membership, match_listed
from cxrbuild.lists.reading import ListFile, parse_list_file, read_lists
from cxrbuild.lists.table import format_table, require_table_place

__all__ = [
    "ListAuditResult",
    "ListContext",
    "ListFile",
    "ListPair",
    "ListedDataset",
    "add_membership",
    "audit_rows",
    "format_table",
    "list_files",
    "match_images",
    "match_listed",
    "match_members",
    "parse_list_file",
    "read_declared_list",
    "read_lists",
    "require_clean",
    "require_table_place",
    "resolve_sources",
]
