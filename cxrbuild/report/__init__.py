"""Write the report of a release: one HTML file that loads nothing from the network."""

from cxrbuild.report.contact_sheet import DATA_URL, THUMBNAIL_SIDE, data_url, describe_row, read_thumbnail
from cxrbuild.report.headlines import Headline, list_headlines
from cxrbuild.report.next_steps import next_step, next_steps
from cxrbuild.report.page import describe_statuses, generate_report, write_report

__all__ = [
    "DATA_URL",
    "THUMBNAIL_SIDE",
    "Headline",
    "data_url",
    "describe_row",
    "describe_statuses",
    "generate_report",
    "list_headlines",
    "next_step",
    "next_steps",
    "read_thumbnail",
    "write_report",
]
