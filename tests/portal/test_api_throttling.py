"""Callers without a login have so many requests a minute, and every answer says how many are left."""

from dataclasses import replace

import pytest
from django.test import Client

from portal import throttling
from portal.throttling import MAX_ADDRESSES, AnonymousThrottle, Counter, SignInThrottle
from tests.calls import VIEWER, anonymous, caller, make_user, problem_of

pytestmark = pytest.mark.django_db

PATH = "/api/v1/registries/"


@pytest.fixture(autouse=True)
def _counted_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnonymousThrottle, "counter", Counter())
    monkeypatch.setattr(SignInThrottle, "counter", Counter())


@pytest.fixture
def three_a_minute(settings) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, anonymous_rate=3)


def get_from(address: str):
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


def test_whoever_has_a_token_is_not_counted(three_a_minute: None) -> None:
    viewer = caller(*VIEWER)
    answers = [viewer.get("/api/v1/feeds/") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit" not in answers[0]


def test_there_may_be_no_limit(settings) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, anonymous_rate=None)
    response = anonymous().get(PATH)
    assert response.status_code == 200
    assert "RateLimit" not in response


def test_passwords_are_looked_at_only_so_often_whatever_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "SIGN_INS", 2)
    user = make_user()
    bodies = [
        {"username": name, "password": "correct horse battery"} for name in ["nobody", "no-one", user.username]
    ]
    answers = [anonymous().post("/api/v1/auth/token/", body) for body in bodies]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[0]["RateLimit"].startswith('"sign-in";r=1;')
    problem_of(answers[2], 429)


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


def test_many_addresses_cost_no_memory() -> None:
    counter = Counter()
    for number in range(MAX_ADDRESSES + 500):
        counter.take(f"a-{number}", 1, now=number / 1000)
    assert len(counter._windows) <= MAX_ADDRESSES
    assert not counter.take(f"a-{MAX_ADDRESSES + 499}", 1, now=12.0).allowed
