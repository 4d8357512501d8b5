"""Callers without a login have so many requests a minute, and every answer says how many are left."""

from collections import Counter as Counted
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from portal.http.counters import ENTRIES, CounterTable
from portal.http.limits import Counter
from portal.rest.throttling import TokenThrottle
from tests.calls import VIEWER, anonymous, caller, problem_of
from tests.serving import Serve

pytestmark = pytest.mark.django_db

PATH = "/api/v1/registries/"


@pytest.fixture(autouse=True)
def _counted_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenThrottle, "counter", Counter())


@pytest.fixture
def three_a_minute(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, anonymous_rate=3)


def get_from(address: str) -> Any:
    return Client(REMOTE_ADDR=address).get(PATH)


def test_each_answer_says_what_is_left(three_a_minute: None) -> None:
    answers = [anonymous().get(PATH) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"anonymous";q=3;w=60'}
    problem_of(answers[3], 429)
    assert 1 <= int(answers[3]["Retry-After"]) <= 60


def test_other_addresses_have_their_own_share_and_a_network_of_ipv6_one_together(three_a_minute: None) -> None:
    for _ in range(4):
        get_from("192.0.2.1")
    assert get_from("192.0.2.1").status_code == 429
    assert get_from("192.0.2.2").status_code == 200
    for number in range(3):
        assert get_from(f"2001:db8::{number}").status_code == 200
    assert get_from("2001:db8::ffff").status_code == 429
    assert get_from("2001:db8:0:1::1").status_code == 200


def test_callers_over_ipv4_are_no_neighbours_where_a_socket_takes_both_families(three_a_minute: None) -> None:
    for _ in range(4):
        get_from("::ffff:192.0.2.1")
    assert get_from("192.0.2.1").status_code == 429
    assert get_from("::ffff:192.0.2.2").status_code == 200


def test_an_unchanged_answer_says_it_too(three_a_minute: None) -> None:
    tag = anonymous().get(PATH)["ETag"]
    answer = Client(headers={"If-None-Match": tag}).get(PATH)
    assert answer.status_code == 304
    assert answer["RateLimit"].split(";")[1] == "r=1"
    assert answer["RateLimit-Policy"] == '"anonymous";q=3;w=60'
    assert answer["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("query", "accepted", "status"),
    [("?format=nonsense", "*/*", 400), ("?x=1", "*/*", 400), ("", "image/png", 406)],
)
def test_refused_questions_are_counted_too_and_each_once(
    three_a_minute: None, query: str, accepted: str, status: int
) -> None:
    answers = [Client(headers={"Accept": accepted}).get(f"{PATH}{query}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [status, status, status, 429]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert "RateLimit" not in Client().options(PATH)


def test_a_token_lifts_the_limit_of_its_address_and_has_one_of_its_own(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, anonymous_rate=3, token_rate=6)
    viewer, other = caller(*VIEWER), caller(*VIEWER)
    answers = [viewer.get(path) for path in (PATH, "/api/v1/feeds/") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert [answer["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"token";r={n}' for n in range(5, -1, -1)
    ]
    assert answers[0]["RateLimit-Policy"] == '"token";q=6;w=60'
    for path in (PATH, "/api/v1/feeds/"):
        late = viewer.get(path)
        assert problem_of(late, 429)["code"] == "throttled"
        assert 0 < int(late["Retry-After"]) <= 60
    assert other.get("/api/v1/feeds/").status_code == 200
    assert anonymous().get(PATH)["RateLimit"].startswith('"anonymous";r=2'), "the address was not counted"
    wrong = Client().get(PATH, headers={"Authorization": "Bearer wrong"})
    assert wrong["RateLimit"].startswith('"anonymous";r=1'), "what is no token lifts nothing"
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, anonymous_rate=3, token_rate=None)
    assert "RateLimit" not in viewer.get("/api/v1/feeds/")


def test_there_may_be_no_limit(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, anonymous_rate=None)
    response = anonymous().get(PATH)
    assert response.status_code == 200
    assert "RateLimit" not in response


def test_a_window_ends_after_a_minute_and_refused_requests_do_not_lengthen_it() -> None:
    counter = Counter()
    assert counter.take("a", 1, now=0.0).allowed
    refused = [counter.take("a", 1, now=second) for second in (10.0, 30.0, 59.0)]
    assert [(allowance.allowed, allowance.resets_in) for allowance in refused] == [
        (False, 50),
        (False, 30),
        (False, 1),
    ]
    assert counter.take("a", 1, now=60.0).allowed


def test_an_address_that_is_forgotten_for_others_was_seen_longest_ago() -> None:
    counter = Counter(CounterTable(rows=1))
    for number in range(ENTRIES + 1):
        assert counter.take(f"a-{number}", 1, now=float(number)).allowed
    assert not counter.take(f"a-{ENTRIES}", 1, now=12.0).allowed
    assert not counter.take("a-1", 1, now=12.0).allowed
    assert counter.take("a-0", 1, now=12.0).allowed


def test_whoever_waited_to_be_counted_does_not_begin_a_window_anew() -> None:
    counter = Counter()
    assert counter.take("a", 2, now=10.2).allowed
    late = counter.take("a", 2, now=10.1)
    assert (late.allowed, late.left, late.resets_in) == (True, 0, 60)
    assert not counter.take("a", 2, now=10.3).allowed


def test_a_window_from_before_the_machine_was_started_is_over() -> None:
    counter = Counter()
    assert counter.take("a", 1, now=5000.0).allowed
    assert counter.take("a", 1, now=20.0).allowed
    assert not counter.take("a", 1, now=21.0).allowed


@pytest.mark.server
def test_the_limit_holds_for_all_workers_together(tmp_path: Path) -> None:
    limit = 30
    serve = Serve(tmp_path, PORTAL_ANONYMOUS_RATE=str(limit))
    serve.start()
    try:
        # Each connection goes to whichever worker takes it first; half of the answers may lie ready there.
        with ThreadPoolExecutor(8) as threads:
            fresh = [f"/api/v1/codes/?code={number}&limit=1" for number in range(400, 400 + limit)]
            asked = [path for pair in zip(fresh, ["/api/v1/registries/"] * limit, strict=True) for path in pair]
            answers = list(threads.map(lambda path: serve.send(path, method="GET", host="localhost"), asked))
        assert Counted(answer.status for answer in answers) == {200: limit, 429: limit}
        left = {answer.header("ratelimit") for answer in answers if answer.status == 200}
        assert {str(text).split(";")[1] for text in left} == {f"r={number}" for number in range(limit)}
        assert {
            1 <= int(str(answer.header("retry-after"))) <= 60 for answer in answers if answer.status == 429
        } == {True}
        serve.stop()
        serve.start()
        again = serve.send("/api/v1/codes/?code=500", method="GET", host="localhost")
        assert again.status == 429, "a restart must not open a new window"
    finally:
        serve.stop()
