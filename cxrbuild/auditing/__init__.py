"""Check a build for leakage, duplicates, label conflicts and confounding."""

from cxrbuild.auditing.audit import AuditResult, audit, require_passed
from cxrbuild.auditing.published_lists import audit_lists

__all__ = ["AuditResult", "audit", "audit_lists", "require_passed"]
