"""Write the report of a release: one HTML file that loads nothing from the network."""

from cxrbuild.report.page import write_report

__all__ = ["write_report"]
