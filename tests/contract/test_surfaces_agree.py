"""Three surfaces, one decision: a delivery, feed status v1 and v2, and the dry run over every combination.

A fourth opinion is a table in this file, which shares no code with the product.
"""

import gzip
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User

from portal.models import ApiToken
from tests.factories import DN, make_feed, make_rule
from tests.live import PROXY, Live, request

OTHER_DN = "CN=client-b,OU=Test,O=Example,C=GB"
BODY = b"data"
PACKED = gzip.compress(BODY)


@dataclass(frozen=True)
class Cert:
    """A certificate as nginx, a stroom-proxy and a user would describe it."""

    name: str
    dn: str | None
    verified: bool = True


CERTS = [
    Cert("none", None),
    Cert("listed", DN),
    Cert("other", OTHER_DN),
    Cert("failed", DN, verified=False),
    Cert("unreadable", "=,not a dn"),
]
STATUSES = ["Receive", "Reject", "Drop"]
GUARDS = ["open", "required", "required-deny", "restricted", "restricted-empty", "restricted-deny", "expired"]
COMPRESSIONS = [None, "NONE", "gzip", "GZIP", "RAR"]
FEEDS = [
    None,
    "",
    "UNKNOWN-FEED",
    *(f"{status.upper()}-{guard.upper()}" for status in STATUSES for guard in GUARDS),
]

#: By guard: what each certificate gets, 0 for yes, else the Stroom status. Written by hand from the contract.
TABLE = {
    "OPEN": {"none": 0, "listed": 0, "other": 0, "failed": 0, "unreadable": 0},
    "REQUIRED": {"none": 300, "listed": 0, "other": 0, "failed": 310, "unreadable": 310},
    "REQUIRED-DENY": {"none": 300, "listed": 310, "other": 0, "failed": 310, "unreadable": 310},
    "RESTRICTED": {"none": 300, "listed": 0, "other": 310, "failed": 310, "unreadable": 310},
    "RESTRICTED-EMPTY": {"none": 300, "listed": 310, "other": 310, "failed": 310, "unreadable": 310},
    "RESTRICTED-DENY": {"none": 300, "listed": 310, "other": 310, "failed": 310, "unreadable": 310},
    "EXPIRED": {"none": 300, "listed": 310, "other": 310, "failed": 310, "unreadable": 310},
}
HTTP = {0: 200, 100: 406, 110: 406, 200: 406, 300: 401, 310: 403}
CODES_V2 = {
    100: "FEED_MUST_BE_SPECIFIED",
    110: "FEED_IS_NOT_SET_TO_RECEIVE_DATA",
    300: "CLIENT_CERTIFICATE_REQUIRED",
    310: "CLIENT_CERTIFICATE_NOT_AUTHENTICATED",
}


def by_table(feed: str | None, cert: Cert, compression: str | None) -> int:
    """The Stroom status that the contract's tables give; compression is looked at last."""
    code = feed_by_table(feed, cert)
    return 200 if code == 0 and compression == "RAR" else code


def feed_by_table(feed: str | None, cert: Cert) -> int:
    if not feed:
        return 100
    status, _, guard = feed.partition("-")
    if status in {"UNKNOWN", "REJECT"}:
        return 110
    return TABLE[guard][cert.name]


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    past = datetime.now(UTC) - timedelta(minutes=1)
    for status, guard in itertools.product(STATUSES, GUARDS):
        policy = {"open": "none", "expired": "restricted"}.get(guard, guard.partition("-")[0])
        feed = make_feed(f"{status.upper()}-{guard.upper()}", status=status, certificate_policy=policy)
        if guard in {"restricted", "restricted-deny"}:
            make_rule(feed, "/C=GB/O=Example/OU=Test/CN=client-a")
        if guard.endswith("deny"):
            make_rule(feed, "CN=client-a", action="deny")
        if guard == "expired":
            make_rule(feed, DN, expires=past)
            make_rule(feed, OTHER_DN, expires=past)
    user = User.objects.create_user("asker")
    user.user_permissions.add(Permission.objects.get(codename="view_feed"))
    return ApiToken.objects.issue(user, scopes=["check"])[1]


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    live.clear()


def deliver(live: Live, feed: str | None, cert: Cert, compression: str | None) -> tuple[int, int, str, str]:
    headers = {"X-SSL-CLIENT-S-DN": cert.dn or "", "X-SSL-Client-Verify": "NONE"}
    if cert.dn:
        headers["X-SSL-Client-Verify"] = "SUCCESS" if cert.verified else "FAILED:reason"
    headers |= described(feed, compression)
    packed = (compression or "").upper() == "GZIP"
    answer = live.send("/datafeed", headers, PACKED if packed else BODY, peer=PROXY)
    text = re.sub(r"\d{13}_\d{4}_P_test-\d+", "<receipt id>", answer.text)
    return answer.status, answer.stroom_status or 0, answer.header("stroom-error") or "", text


def described(feed: str | None, compression: str | None) -> dict[str, str]:
    pairs = {"Feed": feed, "Compression": compression}
    return {name: value for name, value in pairs.items() if value is not None}


def ask_v1(live: Live, key: str, feed: str | None, cert: Cert) -> dict[str, str]:
    return ask(live, key, "v1", {"feedName": feed, "senderDn": cert.dn})


def ask_v2(live: Live, key: str, feed: str | None, cert: Cert) -> dict[str, str]:
    attributes = {"Feed": feed, "RemoteDN": cert.dn}
    if not cert.verified:
        attributes["X-SSL-Client-Verify"] = "FAILED:reason"
    return ask(live, key, "v2", {"feedName": feed, "attributeMap": attributes})


def ask(live: Live, key: str, version: str, question: dict[str, object]) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {key}", "Content-Encoding": "gzip"}
    body = gzip.compress(json.dumps(question).encode())
    answer = live.send(f"/api/feedStatus/{version}/getFeedStatus", headers, body, chunked=True)
    assert answer.status == 200
    parsed: dict[str, str] = json.loads(answer.body)
    return parsed


def check(live: Live, key: str, feed: str | None, cert: Cert, compression: str | None) -> dict[str, object]:
    question = {
        "headers": described(feed, compression),
        "certificate": {"dn": cert.dn or "", "verified": cert.verified},
    }
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = request("/api/v1/receipt/check/", headers, json.dumps(question).encode())
    answer = live.exchange(data.replace(b"Host: somewhere.example.org", b"Host: localhost"))
    assert answer.status == 200, answer.text
    parsed: dict[str, object] = json.loads(answer.body)
    return parsed


def expected_status(feed: str | None, code: int) -> str:
    return "Reject" if code else ("Drop" if (feed or "").startswith("DROP") else "Receive")


def test_all_surfaces_agree_with_each_other_and_with_the_table(live: Live, key: str) -> None:
    combinations = list(itertools.product(FEEDS, CERTS, COMPRESSIONS))
    assert len(combinations) == 24 * 5 * 5
    for feed, cert, compression in combinations:
        code = by_table(feed, cert, compression)
        where = (feed, cert.name, compression)
        http, status, error, text = deliver(live, feed, cert, compression)
        assert (http, status) == (HTTP[code], code), where
        dry = check(live, key, feed, cert, compression)
        assert (dry["http_status"], dry["stroom_status"]) == (http, status), where
        assert dry["decision"] == expected_status(feed, code), where
        response = dry["response"]
        assert isinstance(response, dict)
        assert response["body"] == text, where
        assert response["headers"].get("Stroom-Error", "") == error, where
        assert response["headers"]["Stroom-Status"] == str(status), where


def test_feed_status_agrees_with_the_feed_decision_of_a_delivery(live: Live, key: str) -> None:
    for feed, cert in itertools.product(FEEDS, CERTS):
        code = feed_by_table(feed, cert)
        where = (feed, cert.name)
        assert deliver(live, feed, cert, None)[1] == code, where
        answers = {2: ask_v2(live, key, feed, cert)}
        if cert.verified:
            answers[1] = ask_v1(live, key, feed, cert)
        for version, answer in answers.items():
            assert answer["status"] == expected_status(feed, code), where
            if feed == "UNKNOWN-FEED":
                assert answer["stroomStatusCode"] == "FEED_IS_NOT_DEFINED", where
            elif version == 2 or code in {100, 300}:
                assert answer.get("stroomStatusCode") == CODES_V2.get(code), where
            else:
                assert "stroomStatusCode" not in answer, where


def test_a_described_header_that_stands_twice_is_judged_like_a_sent_one(live: Live, key: str) -> None:
    sent = live.send("/datafeed", [("Feed", "RECEIVE-OPEN"), ("feed", "RECEIVE-OPEN")], BODY)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Host": "localhost"}
    question = {"headers": {"Feed": "RECEIVE-OPEN", "feed": "RECEIVE-OPEN"}}
    data = request("/api/v1/receipt/check/", headers, json.dumps(question).encode())
    answer = live.exchange(data.replace(b"Host: somewhere.example.org\r\n", b""))
    assert json.loads(answer.body)["http_status"] == sent.status == 406
    assert json.loads(answer.body)["response"]["headers"]["Stroom-Error"] == sent.header("stroom-error")
