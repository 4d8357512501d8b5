"""The portal behind the shipped nginx file: who is believed, what arrives, what is cut off."""

import contextlib
import hashlib
import random
import re
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.authority import Certificates, Pair
from tests.deploy.portal import DENYING, OPEN, REJECTING, REQUIRED, RESTRICTED, SMUGGLED, Portal
from tests.deploy.proxy import NGINX, Answer, Nginx, read_answers, talk
from tests.deploy.test_nginx import SPOOFS
from tests.framings import FRAMINGS
from tests.reliability import processes

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with tempfile.TemporaryDirectory(prefix="portal-behind-") as path, Portal(Path(path)) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(portal: Portal, certificates: Certificates, folder: Path) -> Iterator[Nginx]:
    with Nginx(folder, certificates, portal.upstream) as running:
        yield running


@pytest.fixture(scope="module")
def buffering(portal: Portal, certificates: Certificates) -> Iterator[Nginx]:
    change = (r"proxy_request_buffering off;", "proxy_request_buffering on;")
    with (
        tempfile.TemporaryDirectory(prefix="portal-buffering-") as path,
        Nginx(Path(path), certificates, portal.upstream, (change,)) as running,
    ):
        yield running


def head(*lines: str, feed: str, method: str = "POST") -> bytes:
    fields = [f"{method} /datafeed HTTP/1.1", "Host: localhost", "Connection: close", f"Feed: {feed}", *lines]
    return "\r\n".join([*fields, "", ""]).encode("latin-1")


def post(*lines: str, feed: str, body: bytes = b"some data\n", method: str = "POST") -> bytes:
    return head(*lines, f"Content-Length: {len(body)}", feed=feed, method=method) + body


def chunked(feed: str, body: bytes, size: int, method: str = "POST") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head("Transfer-Encoding: chunked", feed=feed, method=method) + chunks + b"0\r\n\r\n"


def codes(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.stroom_status


WHO: dict[tuple[str, str], tuple[int, str]] = {
    ("none", OPEN): (200, "0"),
    ("none", REQUIRED): (401, "300"),
    ("none", RESTRICTED): (401, "300"),
    ("none", REJECTING): (406, "110"),
    ("good", OPEN): (200, "0"),
    ("good", REQUIRED): (200, "0"),
    ("good", RESTRICTED): (200, "0"),
    ("good", DENYING): (403, "310"),
    ("good", REJECTING): (406, "110"),
    ("other", REQUIRED): (200, "0"),
    ("other", RESTRICTED): (403, "310"),
    ("other", DENYING): (200, "0"),
    ("expired", DENYING): (403, "310"),
    ("expired", REJECTING): (406, "110"),
    **{
        (who, feed): (200, "0") if feed == OPEN else (403, "310")
        for who in ("expired", "not_yet_valid", "self_signed", "unknown_ca")
        for feed in (OPEN, REQUIRED, RESTRICTED)
    },
}


@pytest.mark.parametrize(("who", "feed"), WHO)
def test_s03_each_certificate_at_each_policy(nginx: Nginx, certificates: Certificates, who: str, feed: str) -> None:
    pair: Pair | None = None if who == "none" else getattr(certificates, who)
    [answer] = talk(nginx.connect(pair), post(feed=feed))
    assert codes(answer) == WHO[who, feed]
    assert answer.body.endswith(b"\n")


@pytest.mark.parametrize("who", ["expired", "unknown_ca"])
def test_s03_a_refused_certificate_is_counted_by_the_portal(
    nginx: Nginx, portal: Portal, certificates: Certificates, who: str
) -> None:
    before = refusals(portal)
    for _ in range(3):
        talk(nginx.connect(getattr(certificates, who)), post(feed=RESTRICTED))
    wait_until(lambda: refusals(portal) >= before + 3)


def refusals(portal: Portal) -> int:
    """How often the portal has counted 310 for the restricted feed."""
    query = "SELECT COALESCE(SUM(count), 0) FROM feeds_hourlycount WHERE feed = ? AND stroom_status = 310"
    with contextlib.closing(sqlite3.connect(portal.folder / "portal.sqlite3")) as database:
        return int(database.execute(query, [RESTRICTED]).fetchone()[0])


@pytest.mark.parametrize("lines", SPOOFS.values(), ids=SPOOFS.keys())
def test_s01_s02_no_spoof_opens_a_feed(nginx: Nginx, certificates: Certificates, lines: str) -> None:
    """The evil DN of the table is replaced by the one that the feed allows."""
    lines = lines.replace("CN=evil,O=Example,C=GB", "CN=payroll-sender,OU=Finance,O=Example,C=GB")
    for pair, refusal in ((None, (401, "300")), (certificates.other, (403, "310"))):
        [answer] = talk(nginx.connect(pair), post(lines, feed=RESTRICTED))
        assert codes(answer) in {refusal, (400, "999")}


def test_s01_identity_in_the_query_string_is_nothing(nginx: Nginx) -> None:
    target = b"/datafeed?X-SSL-CLIENT-S-DN=CN%3Dpayroll-sender&X-SSL-Client-Verify=SUCCESS&RemoteDN=CN%3Da"
    sent = post(feed=RESTRICTED).replace(b"/datafeed", target, 1)
    assert codes(talk(nginx.connect(), sent)[0]) == (401, "300")


def test_s05_the_stored_identity_is_what_nginx_verified(
    nginx: Nginx, portal: Portal, certificates: Certificates
) -> None:
    lines = (SPOOFS["the whole set"], "X-Forwarded-For: 203.0.113.9", "UploadUserId: root")
    [answer] = talk(nginx.connect(certificates.good), post(*lines, feed=RESTRICTED))
    receipt_id = answer.body.decode().strip()
    [meta] = portal.folder.glob(f"store/received/**/{receipt_id}.meta")
    text = meta.read_text()
    assert "RemoteDN:CN=payroll-sender,OU=Finance,O=Example,C=GB\n" in text
    assert "evil" not in text
    assert "root" not in text
    assert "RemoteAddress:203.0.113.9\n" in text


SIZES = [0, 1, 2, 1023, 1024, 16_383, 65_535, 65_536, 65_537, 262_143, 262_145, 1_048_577, 8 * 1_048_576]


@pytest.mark.parametrize("way", ["nginx", "buffering"])
@pytest.mark.parametrize("size", SIZES)
def test_r08_bytes_stored_are_bytes_sent(
    request: pytest.FixtureRequest, portal: Portal, size: int, way: str
) -> None:
    proxy: Nginx = request.getfixturevalue(way)
    body = random.Random(size).randbytes(size)
    digest = hashlib.sha256(body).hexdigest()
    sent = [
        post(feed=OPEN, body=body),
        post(feed=OPEN, body=body, method="PUT"),
        chunked(OPEN, body, 70_001),
        chunked(OPEN, body, max(1, size // 3), method="PUT"),
    ]
    for one in sent:
        [answer] = talk(proxy.connect(), one)
        assert codes(answer) == (200, "0"), answer
        receipt_id = answer.body.decode().strip()
        assert portal.stored().get(receipt_id) == (digest if size else None)


def test_r08_sixty_four_megabytes(nginx: Nginx, portal: Portal) -> None:
    body = random.Random(64).randbytes(1_048_576) * 64
    [answer] = talk(nginx.connect(), chunked(OPEN, body, 1_000_003))
    assert portal.stored()[answer.body.decode().strip()] == hashlib.sha256(body).hexdigest()


def test_a_refusal_before_the_body_always_arrives(nginx: Nginx) -> None:
    """The portal stops reading early; nginx must pass its answer on and not call it a broken upstream."""
    body = bytes(6_000_000)
    for _ in range(15):
        assert codes(talk(nginx.connect(), post(feed=REJECTING, body=body))[0]) == (406, "110")
        assert codes(talk(nginx.connect(), chunked(REJECTING, body, 100_000))[0]) == (406, "110")


@pytest.mark.parametrize("upgrade", ["Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "Upgrade: websocket"])
def test_s06_an_offered_upgrade_empties_no_body(nginx: Nginx, portal: Portal, upgrade: str) -> None:
    [answer] = talk(nginx.connect(), post(f"Connection: Upgrade\r\n{upgrade}", feed=OPEN, body=b"upgraded"))
    assert codes(answer) == (200, "0")
    assert portal.stored()[answer.body.decode().strip()] == hashlib.sha256(b"upgraded").hexdigest()


INNER = (
    b"POST /datafeed HTTP/1.1\r\nHost: localhost\r\nFeed: %b\r\nContent-Length: 5\r\n\r\nsmug\n" % SMUGGLED.encode()
)
_POST = b"POST /datafeed HTTP/1.1\r\nHost: localhost\r\nFeed: %b\r\n" % OPEN.encode()


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_s06_both_sides_see_the_same_requests(nginx: Nginx, portal: Portal, framing: bytes) -> None:
    """Behind each doubtful framing stands a whole request: it may be refused, or be a request for both sides.

    What must not be: that they are data for nginx and a request for the portal. So every receipt for them has an
    answer of its own, in order, and nothing of them is in another receipt's data.
    """
    before = portal.stored()
    answers = talk(nginx.connect(), _POST + framing + INNER + b"GET /end HTTP/1.0\r\n\r\n")
    accepted = [answer for answer in answers if answer.status == 200]
    assert all(answer.stroom_status == "0" for answer in accepted)
    assert all(answer.stroom_status for answer in answers[:1])
    new = {receipt: digest for receipt, digest in portal.stored().items() if receipt not in before}
    told = {answer.body.decode().strip() for answer in accepted}
    assert set(new) <= told
    # The doubtful body itself is empty or an x.
    assert set(new.values()) <= {hashlib.sha256(body).hexdigest() for body in (b"smug\n", b"x")}
    if framing.startswith((b"Content-Length: 5\r\nTransfer", b"Transfer-Encoding: chunked\r\nContent")):
        assert [answer.status for answer in answers] == [400]


def test_s06_a_request_inside_a_body_is_data(nginx: Nginx, portal: Portal) -> None:
    for sent in (post(feed=OPEN, body=INNER), chunked(OPEN, INNER, 7)):
        answers = talk(nginx.connect(), sent)
        assert [codes(answer) for answer in answers] == [(200, "0")]
        assert portal.stored()[answers[0].body.decode().strip()] == hashlib.sha256(INNER).hexdigest()


CUTS = [
    pytest.param(post(feed=OPEN, body=b"x" * 200_000)[:-1], id="one byte short"),
    pytest.param(post(feed=OPEN, body=b"x" * 200_000)[:-150_000], id="most missing"),
    pytest.param(chunked(OPEN, b"x" * 200_000, 50_000)[:-5], id="no last chunk"),
    pytest.param(chunked(OPEN, b"x" * 200_000, 50_000)[:-30_000], id="half a chunk"),
]


@pytest.mark.parametrize("how", ["close", "farewell", "reset"])
@pytest.mark.parametrize("sent", CUTS)
def test_r07_a_body_cut_short_is_never_stored(nginx: Nginx, portal: Portal, sent: bytes, how: str) -> None:
    before = portal.stored()
    connection = nginx.connect()
    with connection:
        connection.sendall(sent)
        time.sleep(0.05)
        if how == "farewell":
            with contextlib.suppress(OSError):
                connection.unwrap()
        elif how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    deadline = time.monotonic() + 10
    parts = list(portal.folder.glob("store/**/*.part"))
    while parts and time.monotonic() < deadline:
        time.sleep(0.02)
        parts = list(portal.folder.glob("store/**/*.part"))
    assert parts == []
    assert portal.stored() == before


@pytest.mark.parametrize("length", [0, 4])
def test_r08_http_1_0_with_a_length_is_received(nginx: Nginx, portal: Portal, length: int) -> None:
    data = b"POST /datafeed HTTP/1.0\r\nFeed: %b\r\nContent-Length: %d\r\n\r\n" % (OPEN.encode(), length)
    [answer] = talk(nginx.connect(), data + b"data"[:length])
    assert codes(answer) == (200, "0")


@pytest.mark.parametrize("framing", ["Content-Length: 2000000", "Transfer-Encoding: chunked"])
def test_r15_a_worker_killed_in_mid_upload_is_a_passing_fault_in_nginxs_words(
    nginx: Nginx, portal: Portal, framing: str
) -> None:
    before = portal.stored()
    with nginx.connect() as connection:
        connection.sendall(head(framing, feed=OPEN))
        begun = b"x" * 1_500_000
        connection.sendall(b"%x\r\n%b\r\n" % (len(begun), begun) if "chunked" in framing else begun)
        wait_until(lambda: list((portal.folder / "store/parts").glob("*/*.part")))
        for worker in processes.children(portal.process.pid):
            processes.kill(worker)
        [answer] = read_answers(connection)
    assert codes(answer) == (502, "999")
    assert 30 <= int(answer.headers["retry-after"]) <= 90
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.body.startswith(b"Stroom Status 999 - Unknown error\n")
    wait_until(lambda: codes(talk(nginx.connect(), post(feed=OPEN))[0]) == (200, "0"))
    assert len(portal.stored()) == len(before) + 1
    wait_until(lambda: not list((portal.folder / "store/parts").glob("*/*.part")))


def wait_until(found: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("given", "kept"), [("ticket-4711", True), ("two words", False), ("", False)])
def test_one_id_stands_in_the_answer_in_both_logs_and_with_the_receipt(
    nginx: Nginx, portal: Portal, given: str, *, kept: bool
) -> None:
    lines = [f"X-Request-ID: {given}"] if given else []
    [answer] = talk(nginx.connect(), post(*lines, feed=OPEN))
    told = answer.headers["x-request-id"]
    assert told == given if kept else re.fullmatch("[0-9a-f]{32}", told)
    with contextlib.closing(sqlite3.connect(portal.folder / "portal.sqlite3")) as database:
        query = "SELECT receipt_id FROM feeds_receipt WHERE request_id = ?"
        assert database.execute(query, [told]).fetchall() == [(answer.body.decode().strip(),)]
    deadline = time.monotonic() + 5
    while f'"request_id":"{told}"' not in (nginx.folder / "access.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # nginx writes the line when the connection is done with


def test_the_pages_come_through_with_the_scheme_of_the_browser(nginx: Nginx) -> None:
    sent = b"GET /admin/login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    [answer] = talk(nginx.connect(), sent)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_r21_a_portal_that_stops_says_so_in_stroom_status(
    portal: Portal, certificates: Certificates, tmp_path: Path
) -> None:
    with Nginx(tmp_path, certificates, f"unix:{tmp_path}/nobody.sock") as nginx:
        [answer] = talk(nginx.connect(), post(feed=OPEN))
    assert codes(answer) == (502, "999")
    assert 30 <= int(answer.headers["retry-after"]) <= 90


def test_s01_s02_over_a_unix_socket(certificates: Certificates) -> None:
    with tempfile.TemporaryDirectory(prefix="portal-unix-") as path:
        work = Path(path)
        (work / "data").mkdir()
        (work / "nginx").mkdir()
        with (
            Portal(work / "data", unix=work / "http.sock", workers=1) as portal,
            Nginx(work / "nginx", certificates, portal.upstream) as nginx,
        ):
            assert codes(talk(nginx.connect(certificates.good), post(feed=RESTRICTED))[0]) == (200, "0")
            for lines in SPOOFS.values():
                [answer] = talk(nginx.connect(), post(lines, feed=RESTRICTED))
                assert codes(answer) in {(401, "300"), (400, "999")}, lines
