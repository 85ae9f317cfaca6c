"""Decide on metadata alone which images a recipe keeps: reviews, labels, rules."""

from cxrbuild.rules.apply import apply_rules, excluded_by_review_alone
from cxrbuild.rules.columns import require_values
from cxrbuild.rules.details import add_details
from cxrbuild.rules.labels import add_labels, classes_of, split_findings
from cxrbuild.rules.reviews import add_reviews
from cxrbuild.rules.switches import switch_rules

__all__ = [
    "add_details",
    "add_labels",
    "add_reviews",
    "apply_rules",
    "classes_of",
    "excluded_by_review_alone",
    "require_values",
    "split_findings",
    "switch_rules",
]
