"""Cost of getFeedStatus: one call to a thread, two statements, and little is read for an unknown caller."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User

from feeds.models import Feed
from feeds.receipt import feed_status
from feeds.receipt.feed_status import SHORT_BODY, FeedStatusApp
from portal.access.tokens import BearerOutcome, authenticate_bearer
from portal.http.body import Message
from portal.http.client import IdentityNames
from portal.models import ApiToken
from tests.factories import DN, make_feed

QUESTION = json.dumps({"feedName": "OPEN-FEED", "attributeMap": {"RemoteDN": DN}}).encode()


class CountingPool(ThreadPoolExecutor):
    """Thread pool that counts what it is given."""

    def __init__(self) -> None:
        super().__init__(1)
        self.calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        return super().submit(fn, *args, **kwargs)


def make_app(pool: ThreadPoolExecutor, caller: BearerOutcome) -> FeedStatusApp:
    return FeedStatusApp(authenticate=lambda *_: caller, identity=IdentityNames(), decisions=pool)


def ask(app: FeedStatusApp, pieces: list[bytes], *headers: tuple[bytes, bytes]) -> tuple[int, int]:
    """Send a body in pieces; return the status and how many pieces were read before the answer began."""
    read: list[bytes] = []
    statuses: list[tuple[int, int]] = []

    async def receive() -> Message:
        if len(read) == len(pieces):
            return {"type": "http.disconnect"}
        read.append(pieces[len(read)])
        return {"type": "http.request", "body": read[-1], "more_body": len(read) < len(pieces)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append((message["status"], len(read)))

    length = (b"content-length", str(sum(map(len, pieces))).encode())
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/feedStatus/v2/getFeedStatus",
        "headers": [length, *headers],
    }
    asyncio.run(app(scope, receive, send))
    return statuses[0]


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers are judged by the test, and there is no feed."""
    monkeypatch.setattr(feed_status, "promptly", contextlib.nullcontext)
    monkeypatch.setattr(feed_status, "read_policy", lambda _: None)


@pytest.mark.parametrize("pieces", [[QUESTION], [QUESTION[:10], QUESTION[10:]]])
def test_a_short_question_takes_one_call_to_a_thread(pieces: list[bytes]) -> None:
    with CountingPool() as pool:
        assert ask(make_app(pool, BearerOutcome.ALLOWED), pieces)[0] == 200
        assert pool.calls == 1


def test_a_long_question_is_answered_too() -> None:
    with CountingPool() as pool:
        assert ask(make_app(pool, BearerOutcome.ALLOWED), [QUESTION, *[b" " * 8192] * 10])[0] == 200
        assert pool.calls == 2


@pytest.mark.parametrize(("caller", "status"), [(BearerOutcome.UNKNOWN, 401), (BearerOutcome.MISSING_SCOPE, 403)])
def test_of_a_long_body_without_a_valid_key_little_is_read(caller: BearerOutcome, status: int) -> None:
    pieces = [b" " * 8192] * 100
    with CountingPool() as pool:
        found, read = ask(make_app(pool, caller), pieces)
    assert found == status
    assert read * 8192 <= SHORT_BODY + 8192


def test_a_sender_that_waits_for_permission_is_judged_before_its_body_is_asked_for() -> None:
    with CountingPool() as pool:
        assert ask(make_app(pool, BearerOutcome.UNKNOWN), [QUESTION], (b"expect", b"100-continue")) == (401, 0)


@pytest.mark.parametrize("pieces", [[b"not gzip"], [b"{", b""], [b"x" * 20_000] * 60])
def test_a_faulty_body_without_a_valid_key_is_still_401(pieces: list[bytes]) -> None:
    with CountingPool() as pool:
        app = make_app(pool, BearerOutcome.UNKNOWN)
        assert ask(app, pieces, (b"content-encoding", b"br"))[0] == 401
        assert ask(app, pieces, (b"content-encoding", b"gzip"))[0] == 401


@pytest.mark.django_db
def test_a_decision_with_a_real_token_takes_two_statements(django_assert_num_queries: Callable[[int], Any]) -> None:
    make_feed("OPEN-FEED", allow=[DN], certificate_policy="restricted")
    secret = ApiToken.objects.issue(User.objects.create_user("proxy"), scopes=["check"])[1]
    key = f"Bearer {secret}"
    authenticate_bearer(key, "check", "")  # notes the use
    with django_assert_num_queries(2):  # the token with its user; the feed with its rules
        assert authenticate_bearer(key, "check", "").value == "allowed"
        assert Feed.objects.policy_for("OPEN-FEED") is not None


def test_questions_that_wait_share_one_call_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key and each feed is read once for all that had arrived."""
    callers: list[str | None] = []
    feeds: list[str | None] = []

    def authenticate(authorization: str | None, *_: str) -> BearerOutcome:
        callers.append(authorization)
        return BearerOutcome.ALLOWED if authorization == "Bearer good" else BearerOutcome.UNKNOWN

    monkeypatch.setattr(feed_status, "read_policy", feeds.append)
    keys = [b"Bearer good", b"Bearer bad", b"Bearer good", b"Bearer good"]
    with CountingPool() as pool:
        app = FeedStatusApp(authenticate=authenticate, identity=IdentityNames(), decisions=pool)
        free = threading.Event()
        pool.submit(free.wait, 30)
        assert asyncio.run(ask_together(app, keys, free)) == [200, 401, 200, 200]
        assert pool.calls == 2  # that one, and one for the questions
    assert callers == ["Bearer good", "Bearer bad"]
    assert feeds == ["OPEN-FEED"]


async def ask_together(app: FeedStatusApp, keys: list[bytes], free: threading.Event) -> list[int]:
    """Ask with each key, all before the thread is free; return the statuses."""
    statuses: dict[int, int] = {}

    async def one(number: int, key: bytes) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": QUESTION, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses[number] = message["status"]

        headers = [(b"content-length", str(len(QUESTION)).encode()), (b"authorization", key)]
        scope = {"type": "http", "method": "POST", "path": "/api/feedStatus/v2/getFeedStatus", "headers": headers}
        await app(scope, receive, send)

    asking = [asyncio.ensure_future(one(number, key)) for number, key in enumerate(keys)]
    for _ in range(20):  # each is about to wait for its answer
        await asyncio.sleep(0)
    free.set()
    await asyncio.gather(*asking)
    return [statuses[number] for number in range(len(keys))]
