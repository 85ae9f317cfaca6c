"""A dataset at a glance: one HTML file that needs no network."""

from cxrbuild.report.page import write_report

__all__ = ["write_report"]
