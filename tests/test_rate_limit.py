"""Requests of several threads within a server's rate limit."""

from __future__ import annotations

from cxrbuild.publishing.rate_limit import Allowance, RateLimit


def allowed(limit: RateLimit) -> int:
    """Start requests until one has to wait, and return how many started."""
    started = 0
    while limit.start() == 0:
        started += 1
        assert started < 100
    return started


def known(remaining: int, *, running: int = 0) -> RateLimit:
    """Return a limit of which ``remaining`` requests are left, while ``running`` ones run."""
    limit = RateLimit()
    for _ in range(running + 1):
        assert limit.start() == 0
    limit.end(Allowance(remaining + running, reset=100, seconds=60))
    return limit


def test_a_server_without_a_limit_accepts_all() -> None:
    limit = RateLimit()
    for _ in range(50):
        assert limit.start() == 0
        limit.end(None)
    assert limit.start() == 0


def test_requests_wait_while_the_last_accepted_one_runs() -> None:
    limit = known(2)
    assert allowed(limit) == 2
    assert 50 < limit.start() <= 60


def test_running_requests_count_as_accepted() -> None:
    assert allowed(known(3, running=2)) == 3


def test_an_earlier_response_that_arrives_later_does_not_raise_the_limit() -> None:
    limit = RateLimit()
    for _ in range(3):
        limit.start()
    limit.end(Allowance(3, reset=100, seconds=60))
    limit.end(Allowance(4, reset=100, seconds=60))
    limit.end(Allowance(5, reset=100, seconds=60))
    assert allowed(limit) == 1


def test_a_response_from_before_the_reset_is_ignored_after_it() -> None:
    limit = RateLimit()
    for _ in range(2):
        limit.start()
    limit.end(Allowance(9, reset=160, seconds=60))
    limit.end(Allowance(0, reset=100, seconds=0))
    assert allowed(limit) == 8


def test_the_server_accepts_requests_again_after_the_reset() -> None:
    limit = RateLimit()
    limit.start()
    limit.end(Allowance(0, reset=100, seconds=60))
    assert limit.start() > 0
    limit = RateLimit()
    limit.start()
    limit.end(Allowance(0, reset=100, seconds=0))
    assert limit.start() == 0
