"""Check a build for leakage, duplicates, label conflicts and confounding."""

from cxrbuild.auditing.audit import AuditResult, audit, require_passed

__all__ = ["AuditResult", "audit", "require_passed"]
