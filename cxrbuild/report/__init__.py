"""Write the report of a release: one HTML file that loads nothing from the network."""

from cxrbuild.report.contact_sheet import DATA_URL, read_thumbnail
from cxrbuild.report.page import generate_report, write_report

__all__ = ["DATA_URL", "generate_report", "read_thumbnail", "write_report"]
