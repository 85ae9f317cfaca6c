"""Audit lists of files with a split and a class that somebody published."""

from cxrbuild.lists.audit import ListAuditResult, audit_lists, require_clean
from cxrbuild.lists.reading import ListFile, parse_list_file, read_lists

__all__ = ["ListAuditResult", "ListFile", "audit_lists", "parse_list_file", "read_lists", "require_clean"]
