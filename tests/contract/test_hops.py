"""How often a delivery changes threads and asks the database: what made it slow must not come back."""

import time
from typing import Any

import pytest

from feeds.receipt import policies
from tests.live import Live, parse, read_all, request

POOLS = ("small", "work", "decisions", "inflation", "verification")


@pytest.fixture
def seen(live: Live, two_feeds: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that are given to threads, and the reads of policies, in their order."""
    happened: list[str] = []

    def noting(name: str, call: Any) -> Any:
        def noted(*args: Any) -> Any:
            happened.append(name)
            return call(*args)

        return noted

    for name in POOLS:
        pool = getattr(live.worker.receiver.pools, name)
        monkeypatch.setattr(pool, "submit", noting(name, pool.submit))
    monkeypatch.setattr(policies, "read_policy", noting("policy", policies.read_policy))
    return happened


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_whole_on_arrival_takes_one_job_and_one_decision(
    live: Live, seen: list[str], chunked: bool
) -> None:
    assert live.send("/datafeed", {"Feed": "OPEN-FEED"}, b"data", chunked=chunked).outcome == (200, 0)
    assert seen == ["small", "policy"]
    assert live.send("/datafeed", {"Feed": "NO-FEED"}, b"data", chunked=chunked).outcome == (406, 110)
    assert seen == ["small", "policy"] * 2


def test_a_sender_that_waits_for_leave_is_refused_before_its_body(live: Live, seen: list[str]) -> None:
    head = request("/datafeed", {"Feed": "REJECT-FEED", "Expect": "100-continue"}, b"x" * 10)[:-10]
    with live.connect() as connection:
        connection.sendall(head)
        answer = parse(read_all(connection))
    assert answer.outcome == (406, 110)
    assert seen == ["decisions", "policy"]


def test_a_body_that_is_still_coming_is_decided_on_before_and_after_it(live: Live, seen: list[str]) -> None:
    data = request("/datafeed", {"Feed": "OPEN-FEED"}, b"x" * 2_000_000)
    with live.connect() as connection:
        connection.sendall(data[:1000])
        deadline = time.monotonic() + 30
        while "policy" not in seen:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        connection.sendall(data[1000:])
        assert parse(read_all(connection)).outcome == (200, 0)
    assert seen[:2] == ["decisions", "policy"]
    assert seen.count("policy") == 2
