"""`wait` on a list: the answer is held until there is something, and no thread is held meanwhile."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoDbBlocker

from portal.models import ApiToken
from tests.calls import VIEWER, caller, problem_of
from tests.factories import make_feed
from tests.live import Live, request
from tests.live_fixtures import *  # noqa: F403
from tests.live_fixtures import live_with

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def live(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    def prepare() -> None:
        make_feed("OPEN-FEED")
        User.objects.create_superuser("boss", password="x")

    yield from live_with(tmp_path_factory.mktemp("data"), django_db_blocker, prepare)


def get(live: Live, path: str) -> Any:
    _, secret = ApiToken.objects.issue(User.objects.get(username="boss"))
    headers = {"Authorization": f"Bearer {secret}"}
    data = request(path, headers, method="GET").replace(b"somewhere.example.org", b"localhost")
    return live.exchange(data, peer="127.0.0.1")


def resume_of(live: Live) -> str:
    link = json.loads(get(live, "/api/v1/receipts/?ordering=received_at&limit=1000").body)["resume"]
    return "/" + str(link).split("/", 3)[3]


def deliver(live: Live) -> None:
    sent = request("/datafeed", {"Feed": "OPEN-FEED"}, b"some data\n")
    assert live.exchange(sent, peer="127.0.0.1").status == 200


def test_an_empty_page_is_held_until_something_comes(live: Live) -> None:
    path = resume_of(live)
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(get(live, f"{path}&wait=30")))
    waiting.start()
    time.sleep(0.7)  # at least one look that finds nothing
    assert not answers
    deliver(live)
    waiting.join(20)
    assert len(json.loads(answers[0].body)["results"]) == 1
    assert not [name for name, _ in answers[0].headers if "nothing-yet" in name.lower()]


def test_after_its_time_the_empty_page_comes_with_its_resume(live: Live) -> None:
    path = resume_of(live)
    began = time.monotonic()
    answer = get(live, f"{path}&wait=1")
    assert 0.9 <= time.monotonic() - began < 20
    body = json.loads(answer.body)
    assert (answer.status, body["results"]) == (200, [])
    assert body["resume"]
    assert not [name for name, _ in answer.headers if "nothing-yet" in name.lower()]


def test_what_is_there_comes_at_once(live: Live) -> None:
    path = resume_of(live)
    deliver(live)
    began = time.monotonic()
    assert len(json.loads(get(live, f"{path}&wait=30").body)["results"]) == 1
    assert time.monotonic() - began < 15


def test_waiting_takes_no_thread_from_others(live: Live) -> None:
    path = resume_of(live)
    waiting = [threading.Thread(target=get, args=(live, f"{path}&wait=3")) for _ in range(12)]
    for thread in waiting:
        thread.start()
    assert get(live, "/api/v1/feeds/").status == 200
    deliver(live)
    for thread in waiting:
        thread.join(20)


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["wait=31&ordering=received_at", "wait=x&ordering=received_at", "wait=5"])
def test_wait_is_refused_where_it_makes_no_sense(query: str) -> None:
    problem = problem_of(caller(*VIEWER).get(f"/api/v1/receipts/?{query}"), 400)
    assert [error["parameter"] for error in problem["errors"]] == ["wait"]
