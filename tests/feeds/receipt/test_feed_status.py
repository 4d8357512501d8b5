"""getFeedStatus: exactly the keys of contract section 11, for chunked and packed questions, or an HTTP error."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoDbBlocker

from feeds.receipt import feed_status
from feeds.rules.decision import Certificate
from portal.database.threads import Unavailable
from portal.http.client import DIALECTS, IdentityNames
from portal.models import ApiToken
from tests.factories import DN, make_feed, make_rule
from tests.live import Live, Response
from tests.live_fixtures import database, db, live_with

pytestmark = pytest.mark.both_databases

__all__ = ["database", "db"]

V1, V2 = "/api/feedStatus/v1/getFeedStatus", "/api/feedStatus/v2/getFeedStatus"
RECEIVE = {"status": "Receive"}
DROP = {"status": "Drop"}
NO_NAME = {
    "status": "Reject",
    "message": "Feed must be specified",
    "stroomStatusCode": "FEED_MUST_BE_SPECIFIED",
}
UNKNOWN = {"status": "Reject", "message": "Feed is not defined", "stroomStatusCode": "FEED_IS_NOT_DEFINED"}
REJECT_V1 = {"status": "Reject", "message": "Feed is not set to receive data"}
REJECT_V2 = {**REJECT_V1, "stroomStatusCode": "FEED_IS_NOT_SET_TO_RECEIVE_DATA"}
REQUIRED = {
    "status": "Reject",
    "message": "Client Certificate Required",
    "stroomStatusCode": "CLIENT_CERTIFICATE_REQUIRED",
}
DENIED_V1 = {"status": "Reject", "message": "Client Certificate not authorised"}
DENIED_V2 = {**DENIED_V1, "stroomStatusCode": "CLIENT_CERTIFICATE_NOT_AUTHENTICATED"}


def make_feeds() -> None:
    make_feed("OPEN-FEED")
    make_feed("DROP-FEED", status="Drop")
    make_feed("REJECT-FEED", status="Reject", certificate_policy="required")
    make_feed("REQUIRED-FEED", certificate_policy="required")
    make_feed("LISTED-FEED", allow=[DN])
    make_rule(make_feed("DENY-FEED", certificate_policy="required"), DN, action="deny")


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Live]:
    yield from live_with(tmp_path_factory.mktemp("data"), django_db_blocker, make_feeds)


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    user = User.objects.create_user("proxy")
    return ApiToken.objects.issue(user, scopes=["check"])[1]


def ask(
    live: Live, key: str | None, path: str, question: object, *, chunked: bool = True, packed: bool = True
) -> Response:
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    headers |= {"Content-Encoding": "gzip"} if packed else {}
    return live.send(path, headers, gzip.compress(body) if packed else body, chunked=chunked)


CASES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    (V1, {"feedName": "OPEN-FEED"}, RECEIVE),
    (V1, {"feedName": "OPEN-FEED", "senderDn": None}, RECEIVE),
    (V1, {"feedName": "DROP-FEED"}, DROP),
    (V1, {}, NO_NAME),
    (V1, {"feedName": None}, NO_NAME),
    (V1, {"feedName": "  "}, NO_NAME),
    (V1, {"feedName": "DUMMY_FEED"}, UNKNOWN),
    (V1, {"feedName": "REJECT-FEED"}, REJECT_V1),
    (V1, {"feedName": "REQUIRED-FEED"}, REQUIRED),
    (V1, {"feedName": "REQUIRED-FEED", "senderDn": ""}, REQUIRED),
    (V1, {"feedName": "REQUIRED-FEED", "senderDn": "CN=anyone,O=b"}, RECEIVE),
    (V1, {"feedName": "REQUIRED-FEED", "senderDn": "not a dn"}, DENIED_V1),
    (V1, {"feedName": "LISTED-FEED", "senderDn": DN}, RECEIVE),
    (V1, {"feedName": "LISTED-FEED", "senderDn": "/C=GB/O=Example/OU=Test/CN=client-a"}, RECEIVE),
    (V1, {"feedName": "LISTED-FEED", "senderDn": "CN=client-b,O=Example"}, DENIED_V1),
    (V1, {"feedName": "DENY-FEED", "senderDn": DN}, DENIED_V1),
    (V1, {"feedName": "OPEN-FEED", "unknown": {"deep": [1, 2]}}, RECEIVE),
    (V1, {"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": DN}}, REQUIRED),
    (V2, {"feedName": "OPEN-FEED"}, RECEIVE),
    (V2, {"feedName": "OPEN-FEED", "userDesc": None, "attributeMap": None}, RECEIVE),
    (V2, {"feedName": "DROP-FEED", "attributeMap": {}}, DROP),
    (V2, {"feedName": ""}, NO_NAME),
    (V2, {"feedName": "open-feed"}, UNKNOWN),
    (V2, {"feedName": "REJECT-FEED", "attributeMap": {"RemoteDN": DN}}, REJECT_V2),
    (V2, {"feedName": "REQUIRED-FEED"}, REQUIRED),
    (V2, {"feedName": "REQUIRED-FEED", "userDesc": {"subjectId": DN, "displayName": DN}}, REQUIRED),
    (V2, {"feedName": "REQUIRED-FEED", "attributeMap": {"RemoteDN": None}}, REQUIRED),
    (V2, {"feedName": "REQUIRED-FEED", "attributeMap": {"remotedn": DN}}, RECEIVE),
    (V2, {"feedName": "REQUIRED-FEED", "attributeMap": {"X-SSL-CLIENT-S-DN": DN}}, RECEIVE),
    (
        V2,
        {"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": "CN=b,O=c", "X-SSL-CLIENT-S-DN": DN}},
        DENIED_V2,
    ),
    (
        V2,
        {"feedName": "LISTED-FEED", "attributeMap": {"REMOTEDN": DN, "X-SSL-Client-Verify": "SUCCESS"}},
        RECEIVE,
    ),
    (
        V2,
        {"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": DN, "x-ssl-client-verify": "FAILED:x"}},
        DENIED_V2,
    ),
    (V2, {"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": DN, "X-SSL-Client-Verify": "NONE"}}, REQUIRED),
    (V2, {"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": DN, "X-SSL-Client-Verify": None}}, RECEIVE),
    (V2, {"feedName": "DENY-FEED", "attributeMap": {"RemoteDN": DN, "Compression": "RAR"}}, DENIED_V2),
    (V2, {"feedName": "OPEN-FEED", "attributeMap": {"Compression": "RAR"}}, RECEIVE),
    (V2, {"feedName": "LISTED-FEED", "senderDn": DN}, REQUIRED),
]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("path", "question", "expected"), CASES)
def test_the_keys_and_values_are_exactly_as_listed(
    live: Live, key: str, path: str, question: dict[str, Any], expected: dict[str, str], chunked: bool, packed: bool
) -> None:
    answer = ask(live, key, path, question, chunked=chunked, packed=packed)
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert json.loads(answer.body) == expected
    assert list(json.loads(answer.body)) == list(expected)


DOUBLED = [
    (V1, b'{"feedName": "LISTED-FEED", "senderDn": "CN=b", "senderDn": "%b"}', DENIED_V1),
    (V2, b'{"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": "%b", "RemoteDN": "%b"}}', DENIED_V2),
    (V2, b'{"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": "CN=b", " remotedn": "%b"}}', DENIED_V2),
    (
        V2,
        b'{"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": "%b", "X-SSL-Client-Verify": "FAILED",'
        b' "x-ssl-client-verify": "SUCCESS"}}',
        DENIED_V2,
    ),
    (V2, b'{"feedName": "LISTED-FEED", "attributeMap": {"RemoteDN": "%b", "System": "a", "system": "b"}}', RECEIVE),
]


@pytest.mark.parametrize(("path", "body", "expected"), DOUBLED)
def test_s38_what_a_proxy_says_twice_of_a_certificate_is_not_verified(
    live: Live, key: str, path: str, body: bytes, expected: dict[str, str]
) -> None:
    assert json.loads(ask(live, key, path, body.replace(b"%b", DN.encode())).body) == expected


@pytest.mark.parametrize("path", [V1, V2])
def test_s32_doubled_slashes_do_not_change_the_answer(live: Live, key: str, path: str) -> None:
    doubled = path.replace("/", "//")
    assert (
        ask(live, key, doubled, {"feedName": "LISTED-FEED"}).text
        == ask(live, key, path, {"feedName": "LISTED-FEED"}).text
    )


@pytest.mark.parametrize("path", [V1, V2])
def test_s32_a_trailing_slash_is_the_same_and_any_host_is_served(live: Live, key: str, path: str) -> None:
    assert ask(live, key, f"{path}/", {"feedName": "OPEN-FEED"}).text == '{"status":"Receive"}'


def test_s22_without_a_usable_key_nothing_is_told(live: Live, key: str) -> None:
    user = User.objects.get(username="proxy")
    reader = ApiToken.objects.issue(user, scopes=["read", "write"])[1]
    expired = ApiToken.objects.issue(user, scopes=["check"], expires=datetime(2020, 1, 1, tzinfo=UTC))[1]
    for wrong, status in ((None, 401), ("wrong", 401), (expired, 401), (reader, 403)):
        answer = ask(live, wrong, V2, {"feedName": "OPEN-FEED"})
        assert answer.status == status
        assert (answer.header("www-authenticate") is not None) == (status == 401)
        assert "Receive" not in answer.text
    User.objects.filter(username="proxy").update(is_active=False)
    assert ask(live, key, V2, {"feedName": "OPEN-FEED"}).status == 401
    User.objects.filter(username="proxy").update(is_active=True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"feedName": 1}', 400),
        (b'{"feedName": "A", "attributeMap": []}', 200),
        (b'{"feedName": "A", "unknown": ' + b"9" * 5000 + b"}", 200),
        (b'{"feedName": "A", "attributeMap": [1]}', 400),
        (b'{"feedName": "A", "attributeMap": {"RemoteDN": 7}}', 400),
        (b'{"feedName": "' + b"A" * 1_048_600 + b'"}', 413),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_question_is_an_http_error(live: Live, key: str, body: bytes, status: int, packed: bool) -> None:
    assert ask(live, key, V2, body, packed=packed).status == status


def test_s07_a_packed_question_is_limited_by_what_it_unpacks_to(live: Live, key: str) -> None:
    bomb = b'{"feedName": "A"}' + b" " * 50_000_000
    assert ask(live, key, V2, bomb).status == 413


def test_broken_gzip_and_unknown_encodings_are_refused(live: Live, key: str) -> None:
    good = gzip.compress(b'{"feedName": "OPEN-FEED"}')
    headers = {"Authorization": f"Bearer {key}", "Content-Encoding": "gzip"}
    assert live.send(V2, headers, good[:-4]).status == 400
    assert live.send(V2, headers, b"not gzip").status == 400
    assert live.send(V2, {**headers, "Content-Encoding": "br"}, good).status == 415
    assert live.send(V2, headers, method="GET").status == 405


def test_r13_when_the_rules_cannot_be_read_the_answer_is_an_error_never_a_guess(
    live: Live, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(feed_status, "read_policy", gone)
    answer = ask(live, key, V2, {"feedName": "OPEN-FEED"})
    assert answer.status == 503
    assert "status" not in json.loads(answer.body)


@pytest.mark.parametrize("odd", ["\u00a0", "\n", "\x00", "\u2028", "\ud800"])
def test_s04_white_space_that_is_no_blank_belongs_to_the_reported_name(odd: str) -> None:
    asked = json.dumps({"feedName": "A", "senderDn": f" O=b,CN=good{odd} "}).encode()
    certificate = feed_status.read_question(
        asked, 1, IdentityNames(), datetime(2026, 2, 24, tzinfo=UTC)
    ).certificate
    assert certificate.dn is None or certificate.dn.common_name == f"good{odd}"


def reported(dialect: str, attributes: dict[str, str]) -> Certificate:
    """The certificate of a question to a portal with this dialect."""
    data = json.dumps({"feedName": "A", "attributeMap": attributes}).encode()
    moment = datetime(2026, 2, 24, tzinfo=UTC)
    return feed_status.read_question(data, 2, DIALECTS[dialect], moment).certificate


@pytest.mark.parametrize(
    ("dialect", "attributes"),
    [
        ("haproxy", {"X-SSL-Client-DN": '"CN=a"', "X-SSL-Client-Verify": "0"}),
        ("envoy", {"X-Forwarded-Client-Cert": 'Subject="CN=other",Hash=1;Subject="CN=a"'}),
        ("traefik", {"X-Forwarded-Tls-Client-Cert-Info": "Subject%3D%22CN%3Da%22%3BNA%3D%221801396800%22"}),
        ("aws-alb", {"X-Amzn-Mtls-Clientcert-Subject": "CN=a"}),
        *((dialect, {"RemoteDN": "CN=a"}) for dialect in DIALECTS),
    ],
)
def test_s38_a_question_is_read_in_the_dialect_and_remotedn_counts_in_each(
    dialect: str, attributes: dict[str, str]
) -> None:
    found = reported(dialect, attributes)
    assert (found.verified, str(found.dn)) == (True, "CN=a"), found.fault


@pytest.mark.parametrize(
    ("dialect", "attributes"),
    [
        ("haproxy", {"X-SSL-Client-DN": "CN=a", "X-SSL-Client-Verify": "20"}),
        ("envoy", {"X-Forwarded-Client-Cert": 'Subject="CN=a"x'}),
        ("envoy", {"RemoteDN": "CN=a", "X-Forwarded-Client-Cert": "x"}),
        ("traefik", {"X-Forwarded-Tls-Client-Cert-Info": "CN=a"}),
        ("aws-alb", {"RemoteDN": "CN=a", "X-Amzn-Mtls-Clientcert": "x"}),
    ],
)
def test_s38_a_question_with_a_malformed_or_failed_header_is_not_verified(
    dialect: str, attributes: dict[str, str]
) -> None:
    found = reported(dialect, attributes)
    assert (found.presented, found.verified) == (True, False)
