"""One id follows a delivery: in its answer, in every line of the log, with its receipt or its refusal."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.contrib.auth.models import Permission, User

from feeds.models import RefusalSample
from feeds.monitoring.counts import SAMPLES_PER_KEY
from feeds.store.spool import StoreFolder
from portal.logs import OneLine
from portal.models import ApiToken
from tests.factories import make_feed
from tests.live import Live, Response, request

pytestmark = pytest.mark.both_databases

STATUS = "/api/feedStatus/v2/getFeedStatus"
#: As proxies, tracing and people write them.
USUAL = [
    "7",
    "ticket-4711",
    "0f3c9d0e5b7a4c1e8a2d6b90c4f1e7aa",
    "123e4567-e89b-12d3-a456-426614174000",
    "Root=1-67891233-abcdef012345678912345678",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "host.example.org:8080/1@2+3~x_",
    "x" * 128,
]
BAD = ["", "-", "_leading", "two words", "semi;colon", "<b>", "ünïcode", "quote'", "x" * 129, "a,b"]


@pytest.fixture(scope="module", autouse=True)
def feeds(live: Live) -> None:
    make_feed("OPEN-FEED")
    make_feed("DROP-FEED", status="Drop")
    make_feed("REJECT-FEED", status="Reject")


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    user = User.objects.create_user("asker")
    user.user_permissions.add(Permission.objects.get(codename="view_feed"))
    user.user_permissions.add(Permission.objects.get(codename="view_receipt"))
    return ApiToken.objects.issue(user, scopes=["check", "read"])[1]


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    live.clear()


class Lines(logging.Handler):
    """The log as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(OneLine().format(record))


@pytest.fixture
def log() -> Iterator[list[str]]:
    handler = Lines()
    logging.getLogger("feeds").addHandler(handler)
    yield handler.lines
    logging.getLogger("feeds").removeHandler(handler)


def deliver(live: Live, feed: str, given: str | None, body: bytes = b"data") -> Response:
    headers = {"Feed": feed} if given is None else {"Feed": feed, "X-Request-ID": given}
    return live.exchange(request("/datafeed", headers, body))


@pytest.mark.parametrize("given", USUAL)
def test_a_usual_id_is_taken_over_returned_and_kept(live: Live, given: str) -> None:
    answer = deliver(live, "OPEN-FEED", given)
    assert answer.outcome == (200, 0)
    assert answer.header("x-request-id") == given
    [receipt] = live.receipts()
    assert receipt.request_id == given


@pytest.mark.parametrize("given", [None, *BAD])
def test_without_a_good_id_one_is_made(live: Live, given: str | None) -> None:
    answer = deliver(live, "OPEN-FEED", given)
    made = answer.header("x-request-id") or ""
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert [receipt.request_id for receipt in live.receipts()] == [made]
    assert deliver(live, "OPEN-FEED", given).header("x-request-id") != made


def test_two_ids_in_one_request_are_none(live: Live) -> None:
    headers = [("Feed", "OPEN-FEED"), ("X-Request-ID", "one"), ("X-Request-ID", "two")]
    answer = live.exchange(request("/datafeed", headers, b"data"))
    assert re.fullmatch("[0-9a-f]{32}", answer.header("x-request-id") or "")


def test_a_refusal_returns_it_and_is_found_by_it(live: Live) -> None:
    assert deliver(live, "REJECT-FEED", "my-try-1").header("x-request-id") == "my-try-1"
    live.worker.service.counts.flush()
    assert [sample.request_id for sample in RefusalSample.objects.all()] == ["my-try-1"]
    wrong = live.exchange(request("/datafeed", {"X-Request-ID": "my-try-2"}, b"", method="GET"))
    assert (wrong.status, wrong.header("x-request-id")) == (405, "my-try-2")


def test_drop_answers_byte_for_byte_like_receive(live: Live) -> None:
    """But for what is each delivery's own: its receipt id and the time."""
    seen = set()
    for feed in ("OPEN-FEED", "DROP-FEED"):
        for given in ("same-1", None):
            answer = deliver(live, feed, given)
            fields = tuple(
                (name, "<made>" if given is None and name == "x-request-id" else value)
                for name, value in answer.headers
                if name != "date"
            )
            seen.add((given, answer.status, re.sub(r"\d{13}_\d{4}", "<id>", answer.text), fields))
    assert len(seen) == 2


def test_what_fails_in_a_thread_is_logged_under_it(
    live: Live, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(StoreFolder, "place", broken)
    answer = deliver(live, "OPEN-FEED", "lost-1")
    assert answer.outcome == (500, 999)
    assert len(log) == 2
    assert " ERROR feeds.receipt.service request_id=lost-1 a delivery failed" in log[0]
    assert " INFO feeds.deliveries request_id=lost-1 refused 500/999 feed='OPEN-FEED' " in log[1]


@pytest.mark.parametrize(
    ("feed", "body", "told"),
    [
        ("OPEN-FEED", b"data", "received 200/0 feed='OPEN-FEED' bytes=4"),
        ("OPEN-FEED", b"", "empty 200/0 feed='OPEN-FEED' bytes=0"),
        ("DROP-FEED", b"data", "dropped 200/0 feed='DROP-FEED' bytes=4"),
        ("REJECT-FEED", b"data", "refused 406/110 feed='REJECT-FEED' bytes=0"),
        ("a 'b\\n", b"data", r"""refused 406/110 feed="a 'b\\n" bytes=0"""),
    ],
)
def test_a_delivery_has_a_line_in_the_log(live: Live, log: list[str], feed: str, body: bytes, told: str) -> None:
    answer = deliver(live, feed, "try-7", body)
    [line] = log
    receipt = re.search(r"\d{13}_\d{4}_\w_[\w-]+", answer.text)
    assert receipt is not None
    assert f" INFO feeds.deliveries request_id=try-7 {told} receipt={receipt[0]} " in line
    assert line.endswith(" address=127.0.0.1")


def test_r26_of_refusals_only_those_that_are_kept_as_examples_are_told(live: Live, log: list[str]) -> None:
    for number in range(3 * SAMPLES_PER_KEY):
        assert deliver(live, f"NO-SUCH-{number}", None).status == 406
    assert len(log) == SAMPLES_PER_KEY


def test_deliveries_are_not_told_where_that_is_not_wanted(
    live: Live, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = live.worker.service
    monkeypatch.setattr(service, "settings", replace(service.settings, log_deliveries=False))
    assert deliver(live, "OPEN-FEED", None).status == 200
    assert deliver(live, "REJECT-FEED", None).status == 406
    assert log == []


def test_feed_status_returns_it_whatever_the_answer(live: Live, key: str) -> None:
    for authorization, status in ((f"Bearer {key}", 200), ("Bearer wrong", 401)):
        headers = {"Authorization": authorization, "X-Request-ID": "proxy-7"}
        answer = live.send(STATUS, headers, json.dumps({"feedName": "OPEN-FEED"}).encode())
        assert (answer.status, answer.header("x-request-id")) == (status, "proxy-7")
    made = live.send(STATUS, {"Authorization": f"Bearer {key}"}, b"{}").header("x-request-id") or ""
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_a_receipt_is_found_by_the_id_of_its_request(live: Live, key: str) -> None:
    """A sender whose answer was lost knows this id alone."""
    wanted = deliver(live, "OPEN-FEED", "lost-answer-1").text.strip()
    deliver(live, "OPEN-FEED", "another")
    data = request(
        "/api/v1/receipts/?request_id=lost-answer-1", {"Authorization": f"Bearer {key}"}, method="GET"
    ).replace(b"somewhere.example.org", b"localhost")
    found = json.loads(live.exchange(data).body)["results"]
    assert [(one["id"], one["request_id"]) for one in found] == [(wanted, "lost-answer-1")]
