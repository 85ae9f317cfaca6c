"""Published lists of files with a split and a class: read them, take a split from one, audit them."""

from cxrbuild.lists.audit import ListAuditResult, audit_lists, require_clean
from cxrbuild.lists.declared import list_files, read_declared_list
from cxrbuild.lists.membership import add_membership
from cxrbuild.lists.reading import ListFile, parse_list_file, read_lists

__all__ = [
    "ListAuditResult",
    "ListFile",
    "add_membership",
    "audit_lists",
    "list_files",
    "parse_list_file",
    "read_declared_list",
    "read_lists",
    "require_clean",
]
