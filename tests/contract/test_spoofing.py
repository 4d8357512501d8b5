"""Identity counts only from a trusted peer, in one spelling, once, and verified (contract section 9; S1 to S3)."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feeds.models import RefusalSample
from feeds.rules.stored_metadata import parse_meta
from portal.http.client import IdentityNames, TrustedProxies
from tests.factories import DN, make_feed
from tests.live import PROXY, Live, request, running

VERIFIED = {"X-SSL-CLIENT-S-DN": DN, "X-SSL-Client-Verify": "SUCCESS"}
GUARDED = {"Feed": "GUARDED-FEED"}


@pytest.fixture(scope="module", autouse=True)
def feeds(live: Live) -> None:
    make_feed("GUARDED-FEED", allow=[DN])
    make_feed("OPEN-FEED")


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    live.clear()


def test_s01_the_same_headers_count_from_a_trusted_peer_only(live: Live) -> None:
    assert live.send("/datafeed", {**GUARDED, **VERIFIED}, b"x", peer=PROXY).outcome == (200, 0)
    assert live.send("/datafeed", {**GUARDED, **VERIFIED}, b"x").outcome == (401, 300)


@pytest.mark.parametrize("name", ["RemoteDN", "X-SSL-CLIENT-S-DN", "x-ssl-client-s-dn", "REMOTEDN"])
@pytest.mark.parametrize("verify", ["SUCCESS", None])
def test_s01_a_spoofed_header_is_ignored_removed_and_said_so(live: Live, name: str, verify: str | None) -> None:
    headers = {name: DN, "X-Forwarded-For": "198.51.100.1", "RemoteCertExpiry": "2099-01-01T00:00:00.000Z"}
    headers |= {"X-SSL-Client-Verify": verify} if verify else {}
    assert live.send("/datafeed", {**GUARDED, **headers}, b"x").outcome == (401, 300)
    answer = live.send("/datafeed", {"Feed": "OPEN-FEED", **headers}, b"x")
    (receipt,) = live.receipts()
    assert receipt.sender_dn is None
    assert receipt.remote_address == "127.0.0.1"
    stored = parse_meta((live.store / receipt.path).with_suffix(".meta").read_bytes())
    for values in (stored, receipt.headers):
        assert not {"RemoteDN", "RemoteCertExpiry", "X-Ssl-Client-S-Dn", "X-Forwarded-For"} & values.keys()
        assert values["RemoteAddress"] == "127.0.0.1"
    assert "127.0.0.1 is not a trusted proxy" in " ".join(receipt.notes)
    assert answer.outcome == (200, 0)
    live.worker.service.counts.flush()
    assert RefusalSample.objects.get().headers.keys() & {"RemoteDN", "X-Ssl-Client-S-Dn"} == set()


@pytest.mark.parametrize("peer", ["127.0.0.1", PROXY])
@pytest.mark.parametrize(
    "query",
    [
        "RemoteDN=CN%3Dclient-a%2COU%3DTest%2CO%3DExample%2CC%3DGB",
        "remotedn=CN%3Dclient-a%2COU%3DTest%2CO%3DExample%2CC%3DGB",
        "%20RemoteDN%20=CN%3Dclient-a%2COU%3DTest%2CO%3DExample%2CC%3DGB",
        "X-SSL-CLIENT-S-DN=CN%3Dclient-a%2COU%3DTest%2CO%3DExample%2CC%3DGB&X-SSL-Client-Verify=SUCCESS",
        "x_ssl_client_s_dn=CN%3Dclient-a%2COU%3DTest%2CO%3DExample%2CC%3DGB&x_ssl_client_verify=SUCCESS",
    ],
)
def test_s01_identity_never_comes_from_the_query(live: Live, query: str, peer: str) -> None:
    answer = live.send(f"/datafeed?{query}", {**GUARDED, "X-SSL-Client-Verify": "NONE"}, b"x", peer=peer)
    assert answer.outcome == (401, 300)


def test_a_query_argument_wins_over_a_header_and_the_last_of_several_wins(live: Live) -> None:
    path = "/datafeed?feed=NO-SUCH-FEED&Feed=OPEN-FEED&System=by%20query"
    answer = live.send(path, {"Feed": "GUARDED-FEED", "System": "by header"}, b"x")
    assert answer.outcome == (200, 0)
    assert live.receipts()[0].headers["System"] == "by query"


FORMS = [
    b"X_SSL_CLIENT_S_DN: %s\r\nX-SSL-Client-Verify: SUCCESS",
    b"X-SSL_CLIENT-S-DN: %s\r\nX-SSL-Client-Verify: SUCCESS",
    b"x_ssl_client_s_dn: %s\r\nx_ssl_client_verify: SUCCESS",
    b"Remote_DN: %s\r\nX-SSL-Client-Verify: SUCCESS",
    b"X-SSL-CLIENT-S-DN : %s\r\nX-SSL-Client-Verify: SUCCESS",
    b" X-SSL-CLIENT-S-DN: %s\r\nX-SSL-Client-Verify: SUCCESS",
    b"X-SSL-CLIENT-S-DN: CN=x\r\n ,%s\r\nX-SSL-Client-Verify: SUCCESS",
    b"Y: y\rX-SSL-CLIENT-S-DN: %s\r\nX-SSL-Client-Verify: SUCCESS",
    b"Y: y\nX-SSL-CLIENT-S-DN: %s\nX-SSL-Client-Verify: SUCCESS",
    b"X-SSL-CLIENT-S-DN: %s\r\nX-SSL-CLIENT-S-DN: %s\r\nX-SSL-Client-Verify: SUCCESS",
    b"X-SSL-CLIENT-S-DN: %s\r\nx-ssl-client-s-dn: CN=other,O=x\r\nX-SSL-Client-Verify: SUCCESS",
    b"X-SSL-CLIENT-S-DN: %s\r\nX-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-Verify: FAILED:x",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("peer", ["127.0.0.1", PROXY])
def test_s02_no_spelling_makes_an_untrusted_value_count(live: Live, form: bytes, peer: str) -> None:
    lines = form.replace(b"%s", DN.encode())
    head = request("/datafeed", GUARDED, b"x").replace(b"Feed:", lines + b"\r\nFeed:", 1)
    answer = live.exchange(head, peer=peer)
    assert answer.outcome in {(401, 300), (403, 310), (400, 999)}
    assert live.receipts() == []


def test_s02_a_doubled_identity_header_is_presented_but_not_verified(live: Live) -> None:
    pairs = [("Feed", "GUARDED-FEED"), *VERIFIED.items(), ("X-SSL-CLIENT-S-DN", DN)]
    assert live.send("/datafeed", pairs, b"x", peer=PROXY).outcome == (403, 310)


@pytest.mark.parametrize(
    ("verify", "expected"),
    [
        ("SUCCESS", (200, 0)),
        ("NONE", (401, 300)),
        ("FAILED:self signed certificate", (403, 310)),
        ("FAILED", (403, 310)),
        ("success", (403, 310)),
        ("SUCCESS,SUCCESS", (403, 310)),
        ("anything", (403, 310)),
        ("", (403, 310)),
        (None, (403, 310)),
    ],
)
def test_s03_a_dn_counts_only_with_success(live: Live, verify: str | None, expected: tuple[int, int]) -> None:
    headers = {**GUARDED, "X-SSL-CLIENT-S-DN": DN}
    headers |= {} if verify is None else {"X-SSL-Client-Verify": verify}
    assert live.send("/datafeed", headers, b"x", peer=PROXY).outcome == expected


def test_s01_nobody_is_trusted_by_default() -> None:
    nobody = TrustedProxies()
    for peer in (None, "", "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "unix", "not an address"):
        assert not nobody.trusts(peer)


def test_the_senders_address_is_the_first_untrusted_hop_and_the_record_holds_the_peer(live: Live) -> None:
    headers = {"Feed": "OPEN-FEED", "X-Forwarded-For": "192.0.2.1, 198.51.100.7, 127.0.0.2"}
    live.send("/datafeed", headers, b"x", peer=PROXY)
    (receipt,) = live.receipts()
    assert receipt.headers["RemoteAddress"] == "198.51.100.7"
    assert receipt.remote_address == PROXY


BURST = 60


def test_s38_a_connection_that_is_reset_at_once_has_the_address_it_came_from(
    live: Live, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no peer on a Unix socket, though the socket has no address left to be asked for (B5)."""
    data = request("/datafeed", {**GUARDED, **VERIFIED}, b"x")
    with running(tmp_path, trusted_proxies=TrustedProxies(unix=True)) as portal:
        for _ in range(BURST):
            connection = portal.connect()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(data)
            connection.close()
        wait_until(lambda: sum(portal.counts().values()) == BURST)
        outcomes = {(http, stroom) for _, _, http, stroom in portal.counts()}
    assert outcomes <= {(401, 300), (500, 999)}
    samples = RefusalSample.objects.all()
    assert {sample.remote_address for sample in samples} == {"127.0.0.1"}
    assert {sample.sender_dn for sample in samples} <= {"", None}
    assert "address=127.0.0.1" in caplog.text
    assert "address=unix" not in caplog.text


def wait_until(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("form", FORMS)
def test_s38_with_two_names_configured_a_client_sets_neither(live: Live, tmp_path: Path, form: bytes) -> None:
    """As behind an nginx whose location sets the first name alone, and leaves it out without a certificate (F5)."""
    lines = form.replace(b"%s", DN.encode()).replace(b"X-SSL-CLIENT-S-DN", b"RemoteDN")
    head = request("/datafeed", GUARDED, b"x").replace(b"Feed:", lines + b"\r\nFeed:", 1)
    names = IdentityNames(dn=("x-ssl-client-s-dn", "remotedn"))
    for identity in (names, IdentityNames()):
        with running(tmp_path, identity_headers=identity) as portal:
            assert portal.exchange(head, peer=PROXY).outcome in {(401, 300), (403, 310), (400, 999)}
    assert live.receipts() == []
