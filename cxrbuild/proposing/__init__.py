"""Look at files and propose a source and a recipe for them."""

from cxrbuild.proposing.proposal import Answers, Decision, Proposal, WordCount
from cxrbuild.proposing.propose import propose

__all__ = ["Answers", "Decision", "Proposal", "WordCount", "propose"]
