"""Bodies arrive whole or not at all; what is stored is what was sent (contract section 4; R7, R8, S6)."""

import contextlib
import gzip
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from feeds.receipt import streamed
from portal.http import body as body_module
from portal.server import protocol as server_module
from tests.factories import make_feed
from tests.framings import FRAMINGS
from tests.live import Live, chunks, parse, read_all, request

pytestmark = pytest.mark.both_databases

OPEN = {"Feed": "OPEN-FEED"}
UPGRADE = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
DATA = random.Random(7).randbytes(300_000)


@pytest.fixture(scope="module", autouse=True)
def feeds(live: Live) -> None:
    make_feed("OPEN-FEED")
    make_feed("REJECT-FEED", status="Reject")
    make_feed("SMUGGLED-FEED")


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    wait_until_idle(live)
    live.clear()


def upgrading(headers: dict[str, str], body: bytes, *, chunked: bool) -> bytes:
    """A request that offers an upgrade, as curl --http2 and Java's client do; its connection stays open."""
    data = request("/datafeed", {**headers, **UPGRADE}, body, chunked=chunked)
    return data.replace(b"Connection: close\r\n", b"", 1)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 300_000])
@pytest.mark.parametrize("piece", [1 << 20, 1000, 37])
def test_an_offered_upgrade_is_as_if_it_were_absent(live: Live, size: int, piece: int, chunked: bool) -> None:
    data = upgrading(OPEN, DATA[:size], chunked=chunked)
    if piece == 37:
        size = min(size, 3000)
        data = upgrading(OPEN, DATA[:size], chunked=chunked)
    with live.connect() as connection:
        for start in range(0, len(data), piece):
            connection.sendall(data[start : start + piece])
        connection.sendall(request("/datafeed", OPEN, b"second"))
        answers = read_all(connection)
    first, second = (parse(b"HTTP/1.1 " + part) for part in answers.split(b"HTTP/1.1 ")[1:])
    assert (first.outcome, second.outcome) == ((200, 0), (200, 0))
    assert [live.data(receipt) for receipt in live.receipts()] == [DATA[:size], b"second"][size == 0 :]


def test_many_upgrades_in_one_packet_do_not_exhaust_the_stack(live: Live) -> None:
    one = b"POST /datafeed HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"
    with live.connect() as connection:
        connection.sendall(one * 1500 + request("/datafeed", {}, b""))
        assert read_all(connection).count(b"HTTP/1.1 406") == 1501


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_r07_an_upgrading_request_that_is_cut_off_is_not_stored(live: Live, chunked: bool) -> None:
    data = upgrading(OPEN, DATA, chunked=chunked)
    with live.connect() as connection:
        connection.sendall(data[:-10])
    wait_for_refusal(live)
    assert live.files() == []


def test_an_upgrade_to_a_web_socket_is_ignored_too(live: Live) -> None:
    headers = {**OPEN, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "x"}
    data = request("/datafeed", headers, b"data").replace(b"Connection: close\r\n", b"", 1)
    with live.connect() as connection:
        connection.sendall(data)
        assert parse(connection.recv(65536)).outcome == (200, 0)
    assert live.data(live.receipts()[0]) == b"data"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_idle(live: Live) -> None:
    wait_until(lambda: live.worker.receiver.running == 0)


def wait_for_refusal(live: Live) -> None:
    wait_until_idle(live)
    wait_until(lambda: any(key[1] == "refused" for key in live.counts()))


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, (500, 999)), ({"Compression": "GZIP"}, (500, 400)), ({"Compression": "ZIP"}, (500, 400))],
)
def test_r07_a_half_closed_short_body_is_told_so_and_not_stored(
    live: Live, headers: dict[str, str], expected: tuple[int, int], chunked: bool
) -> None:
    body = gzip.compress(DATA[:1000])
    data = request("/datafeed", {**OPEN, **headers}, body, chunked=chunked)
    answer = live.exchange(data[:-5], half_close=True)
    assert answer.outcome == expected
    assert live.files() == []
    assert live.receipts() == []


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
@pytest.mark.parametrize("framing", [b"Content-Length: 4\r\n", b"Content-Length: 0\r\n"], ids=["4", "0"])
def test_r07_a_body_longer_than_announced_is_neither_acknowledged_nor_stored(
    live: Live, connection: bytes, framing: bytes
) -> None:
    head = b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN-FEED\r\nConnection: " + connection + b"\r\n" + framing
    answer = live.exchange(head + b"\r\ndata and more of it\n")
    assert answer.outcome == (400, 999)
    time.sleep(0.2)
    assert not live.receipts()
    assert not live.files()


def test_a_line_end_behind_a_body_is_overlooked(live: Live) -> None:
    """As old clients send it."""
    assert live.exchange(request("/datafeed", OPEN, b"data") + b"\r\n").outcome == (200, 0)
    assert live.data(live.receipts()[0]) == b"data"


def test_a_whole_body_behind_which_the_client_closes_its_side_is_accepted(live: Live) -> None:
    for chunked in (False, True):
        answer = live.exchange(request("/datafeed", OPEN, DATA, chunked=chunked), half_close=True)
        assert answer.outcome == (200, 0)
        assert live.stored(answer.text) == DATA


@pytest.mark.parametrize(
    "damaged",
    [
        chunks(DATA)[:-2],
        chunks(DATA)[:-5],
        chunks(DATA)[:-8],
        chunks(DATA).replace(b"\r\n0\r\n\r\n", b"\r\n"),
        chunks(DATA[:1000])[:-5] + b"zz\r\nxx",
        chunks(DATA[:1000])[:-5] + b"-1\r\nxx",
        chunks(DATA[:1000])[:-5] + b"5\r\nxxxxxyy\r\n0\r\n\r\n",
        chunks(DATA[:1000])[:-5] + b"FFFFFFFFFFFFFFFFF\r\nxx",
    ],
)
@pytest.mark.parametrize("half_close", [False, True])
def test_r07_a_chunked_body_without_its_end_is_never_acknowledged(
    live: Live, damaged: bytes, half_close: bool
) -> None:
    head = request("/datafeed", OPEN, b"", chunked=True)[: -len(chunks(b""))]
    with live.connect() as connection:
        connection.sendall(head + damaged)
        if half_close:
            with contextlib.suppress(OSError):  # the server may have closed already
                connection.shutdown(socket.SHUT_WR)
        else:
            connection.settimeout(0.2)
        try:
            seen = read_all(connection)
        except TimeoutError:
            seen = b""
    assert not seen.startswith(b"HTTP/1.1 200")
    if seen:
        assert parse(seen).stroom_status in {999, 400}
    wait_for_refusal(live)
    assert live.files() == []
    assert live.receipts() == []


def test_r07_random_cuts_are_never_stored(live: Live) -> None:
    """500 cuts at random places of Content-Length and chunked bodies, plain and gzip."""
    rng = random.Random(3)
    plain, packed = DATA[:20_000], gzip.compress(DATA[:20_000])
    complete = 0
    for number in range(500):
        compressed = number % 2 == 0
        headers = {**OPEN, "Compression": "GZIP"} if compressed else OPEN
        data = request("/datafeed", headers, packed if compressed else plain, chunked=number % 4 < 2)
        cut = rng.randrange(len(data))
        with live.connect() as connection:
            connection.sendall(data[:cut])
            if number % 3:
                connection.shutdown(socket.SHUT_WR)
                seen = read_all(connection)
                complete += seen.startswith(b"HTTP/1.1 200")
    wait_until_idle(live)
    assert complete == 0
    assert live.receipts() == []
    assert live.files() == []


def test_r08_bytes_stored_are_bytes_sent(live: Live) -> None:
    """Sizes around every buffer of the way, up to 64 MiB; length and chunked, POST and PUT."""
    rng = random.Random(11)
    around = [n + d for n in (1, 4096, 65536, 262_144, 524_288, 1_048_576) for d in (-1, 0, 1)]
    sizes = [*around, *(rng.randrange(3_000_000) for _ in range(20))]
    block = rng.randbytes(3_000_001)
    for size in sizes:
        for method in ("POST", "PUT"):
            for chunked in (False, True):
                answer = live.send("/datafeed", OPEN, block[:size], method=method, chunked=chunked)
                assert answer.outcome == (200, 0), size
                if size:
                    assert live.stored(answer.text) == block[:size]
        live.clear()
    large = block * 22
    answer = live.send("/datafeed", OPEN, large)
    assert live.stored(answer.text) == large
    assert live.receipts()[-1].bytes == len(large)


REJECTED = {"Feed": "REJECT-FEED"}
INNER = request("/datafeed", OPEN, b"smuggled")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("path", "headers", "answers"),
    [
        ("/datafeed", OPEN, [200, 200]),
        ("/datafeed", {**OPEN, **UPGRADE}, [200, 200]),
        ("/datafeed", REJECTED, [406, 200]),
        ("/datafeed", {**REJECTED, **UPGRADE}, [406, 200]),
        ("/nowhere", {}, [400]),
    ],
    ids=["taken", "taken with an upgrade", "refused", "refused with an upgrade", "elsewhere"],
)
def test_s06_no_second_request_is_ever_seen_inside_a_body(
    live: Live, path: str, headers: dict[str, str], answers: list[int], chunked: bool
) -> None:
    """Behind the body comes a request of our own, which shows where the server thinks that the body ends."""
    outer = request(path, headers, INNER, chunked=chunked).replace(b"Connection: close\r\n", b"", 1)
    seen = live.exchange_all(outer + request("/status", method="GET"))
    assert [int(part[:3]) for part in seen.split(b"HTTP/1.1 ")[1:]] == answers
    assert [live.data(receipt) for receipt in live.receipts()] == [INNER] * (answers[0] == 200)


def test_s06_there_are_at_least_40_forms() -> None:
    assert len(FRAMINGS) >= 40


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_s06_a_doubtful_end_of_a_body_is_refused_or_is_where_the_next_request_begins(
    live: Live, framing: bytes
) -> None:
    """Behind it comes a whole request; the same forms go through nginx in the tests of the shipped files."""
    head = b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: %b\r\n"
    inner = head % b"SMUGGLED-FEED" + b"Content-Length: 5\r\n\r\nsmug\n"
    ending = request("/status", method="GET")
    seen = live.exchange_all(head % b"OPEN-FEED" + framing + inner + ending, half_close=True)
    answers = [parse(b"HTTP/1.1 " + part) for part in seen.split(b"HTTP/1.1 ")[1:] if not part.startswith(b"100")]
    refused = [answer.outcome for answer in answers if answer.status != 200]
    assert set(refused) <= {(400, 999), (411, 999), (501, 999), (500, 999)}
    assert len(refused) <= 1, "the connection is closed"
    assert all(answer.status == 200 for answer in answers[:-1])
    if answers[0].status != 200:
        assert live.receipts() == []
    # The first body is empty or one byte, and never holds a part of what comes behind it.
    kept = [(receipt.feed, live.data(receipt)) for receipt in live.receipts()]
    assert kept in ([], [("SMUGGLED-FEED", b"smug\n")], [("OPEN-FEED", b"x"), ("SMUGGLED-FEED", b"smug\n")])


def test_s06_trailers_are_not_arguments_of_this_request_nor_of_the_next(live: Live) -> None:
    first = request("/datafeed", {}, b"", chunked=True).replace(b"Connection: close\r\n", b"", 1)
    first = first.removesuffix(b"0\r\n\r\n") + b"4\r\ndata\r\n0\r\nFeed: OPEN-FEED\r\n\r\n"
    with live.connect() as connection:
        connection.sendall(first + request("/datafeed", {}, b"data"))
        seen = read_all(connection)
    outcomes = [parse(b"HTTP/1.1 " + part).outcome for part in seen.split(b"HTTP/1.1 ")[1:]]
    assert outcomes[0] == (406, 100)
    assert set(outcomes) == {(406, 100)}
    assert live.receipts() == []


@pytest.mark.parametrize("endless", [b"X: " + b"y" * 1000, b"X: y\r\n" * 100, b"1;" + b"z" * 1000])
def test_s09_endless_trailers_and_extensions_are_cut_off(live: Live, endless: bytes) -> None:
    """Many times more is sent than the kernel would keep for a server that is slow to close."""
    head = request("/datafeed", OPEN, b"", chunked=True)[: -len(chunks(b""))]
    start = b"" if endless.startswith(b"1;") else b"0\r\n"
    with live.connect(timeout=60) as connection:
        connection.sendall(head + b"4\r\ndata\r\n" + start)
        with pytest.raises(OSError, match=r"reset|Broken|aborted"):  # noqa: PT012  # it takes some sends
            for _ in range(100_000_000 // len(endless)):
                connection.sendall(endless)
    wait_for_refusal(live)
    assert live.receipts() == []


def test_a_refused_request_is_answered_before_its_body_is_read(live: Live) -> None:
    head = request("/datafeed", {"Feed": "REJECT-FEED"}, b"").replace(
        b"Content-Length: 0", b"Content-Length: 1000000"
    )
    with live.connect() as connection:
        connection.sendall(head)
        assert parse(connection.recv(65536)).outcome == (406, 110)


@pytest.mark.parametrize("feed", ["OPEN-FEED", "REJECT-FEED"])
def test_a_continue_is_sent_only_to_an_accepted_request(live: Live, feed: str) -> None:
    head = request("/datafeed", {"Feed": feed, "Expect": "100-continue"}, b"12345")[:-5]
    with live.connect() as connection:
        connection.sendall(head)
        first = connection.recv(65536)
        if feed == "OPEN-FEED":
            assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"12345")
            assert parse(read_all(connection)).outcome == (200, 0)
        else:
            assert parse(first + read_all(connection)).outcome == (406, 110)


def test_a_client_that_writes_all_before_it_reads_sees_the_refusal(live: Live) -> None:
    answer = live.send("/datafeed", {"Feed": "REJECT-FEED"}, b"x" * 900_000)
    assert answer.outcome == (406, 110)


def test_r16_a_sender_below_the_rate_is_cut_off_and_one_above_is_not(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steady one sends twenty times as much as it has to, so that a busy machine does not make it slow."""
    monkeypatch.setattr(body_module, "RATE_WINDOW_SECONDS", 1.0)
    outcomes = {}

    def drip(name: str, piece: bytes) -> None:
        whole = request("/datafeed", OPEN, piece * 50)
        with live.connect() as connection:
            connection.sendall(whole[: -len(piece) * 50])
            for _ in range(50):
                try:
                    connection.sendall(piece)
                except OSError:
                    break
                time.sleep(0.05)
            outcomes[name] = parse(read_all(connection)).outcome

    threads = [
        threading.Thread(target=drip, args=("slow", b"x" * 10)),
        threading.Thread(target=drip, args=("steady", b"x" * 1000)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"slow": (500, 999), "steady": (200, 0)}


def test_a_head_that_takes_too_long_is_closed(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.3)
    for sent in (b"", b"POST /datafeed HTTP/1.1\r\nFe", b"\r\n"):
        started = time.monotonic()
        with live.connect() as connection:
            connection.sendall(sent)
            assert read_all(connection) == b""
        assert time.monotonic() - started > 0.2


def test_kill_of_the_client_during_an_upload_leaves_nothing(live: Live) -> None:
    before = threading.active_count()
    for chunked in (False, True):
        connection = live.connect()
        connection.sendall(request("/datafeed", OPEN, DATA * 10, chunked=chunked)[:1_500_000])
        wait_until(lambda: any(path.suffix == ".part" for path in live.files()))
        connection.close()
        wait_until(lambda: not live.files())
    wait_for_refusal(live)
    assert live.receipts() == []
    assert threading.active_count() <= before + 8


def test_s06_a_crowd_of_slow_senders_is_gathered_in_small_batches(live: Live) -> None:
    """One that sends alone is written in large ones. Of either, one batch is received while one is written."""
    bodies = live.worker.receiver._streamed
    assert bodies._batch_size == streamed.LARGE_BATCH
    connections = [live.connect() for _ in range(streamed.FEW_BODIES + 1)]
    for connection in connections:
        connection.sendall(request("/datafeed", OPEN, DATA)[:2000])
    wait_until(lambda: bodies._receiving == len(connections))
    assert bodies._batch_size == streamed.BATCH
    for connection in connections:
        connection.close()
    wait_until(lambda: bodies._receiving == 0)
    assert 2 * streamed.FEW_BODIES * streamed.LARGE_BATCH <= 32 * 1024 * 1024
    assert streamed.BATCH <= 256 * 1024


def test_s06_a_body_that_only_the_end_of_the_connection_delimits_is_never_acknowledged(live: Live) -> None:
    without = b"POST /datafeed HTTP/1.0\r\nFeed: OPEN-FEED\r\n\r\nsome data"
    assert live.exchange(without, half_close=True).outcome == (411, 999)
    assert live.receipts() == []
    counted = b"POST /datafeed HTTP/1.0\r\nFeed: OPEN-FEED\r\nContent-Length: 9\r\n\r\nsome data"
    assert live.exchange(counted).outcome == (200, 0)
    assert [live.data(receipt) for receipt in live.receipts()] == [b"some data"]


UPGRADING = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
@pytest.mark.parametrize("feed", [b"OPEN-FEED", b"REJECT-FEED", b""], ids=["taken", "refused", "none"])
@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (b"1.1", b"Host: a\r\n"),
        (b"1.1", b"Host: a\r\nConnection: close\r\n"),
        (b"1.1", b"Host: a\r\n" + UPGRADING),
        (b"1.1", b"Host: a\r\nExpect: 100-continue\r\n"),
        (b"1.0", b""),
        (b"1.0", b"Connection: keep-alive\r\n"),
        (b"1.0", UPGRADING),
    ],
)
@pytest.mark.parametrize("behind", [b"", b"data\n", b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 200_000])
def test_s06_a_request_that_does_not_say_where_its_data_ends_is_411_in_every_version(
    live: Live, method: bytes, feed: bytes, version: bytes, fields: bytes, behind: bytes
) -> None:
    """One answer, whatever follows: for HTTP it is no body, for its sender it may be the data."""
    head = method + b" /datafeed HTTP/" + version + b"\r\nFeed: " + feed + b"\r\n" + fields + b"\r\n"
    seen = live.exchange_all(head + behind, half_close=True)
    assert seen.count(b"HTTP/1.1 ") == 1
    answer = parse(seen)
    assert answer.outcome == (411, 999)
    assert answer.header("connection") == "close"
    assert "Content-Length" in answer.text
    assert live.receipts() == []


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize(
    "path", [b"//datafeed", b"/stroom//datafeed", b"/datafeed/", b"/stroom/noauth//datafeed/x", b"/%64atafeed"]
)
def test_s06_every_spelling_of_the_path_demands_a_length(live: Live, path: bytes, version: bytes) -> None:
    """Data in the same packet was taken for a damaged request behind the first, and answered 400."""
    head = b"POST " + path + b" HTTP/" + version + b"\r\nHost: a\r\nFeed: OPEN-FEED\r\n\r\n"
    seen = live.exchange_all(head + b"data\n", half_close=True)
    assert seen.count(b"HTTP/1.1 ") == 1
    assert parse(seen).outcome == (411, 999)
    assert live.receipts() == []


def test_s06_data_that_follows_a_411_is_discarded_and_the_answer_arrives(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN-FEED\r\n\r\n")
        assert parse(connection.recv(65536)).outcome == (411, 999)
        connection.sendall(request("/datafeed", OPEN, b"late"))
        assert connection.recv(65536) == b""
    assert live.receipts() == []


@pytest.mark.parametrize("stopping", [False, True])
def test_s06_the_connection_of_such_a_request_is_closed_whatever_the_answer(
    live: Live, monkeypatch: pytest.MonkeyPatch, stopping: bool
) -> None:
    monkeypatch.setattr(live.worker.receiver, "stopping", stopping)
    with live.connect() as connection:
        connection.sendall(b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN-FEED\r\n\r\ndata")
        assert parse(read_all(connection)).outcome == ((503, 999) if stopping else (411, 999))


def test_chunked_data_of_http_1_0_stays_refused(live: Live) -> None:
    data = b"POST /datafeed HTTP/1.0\r\nFeed: OPEN-FEED\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"data")
    assert live.exchange(data, half_close=True).outcome == (400, 999)
    assert live.receipts() == []


def test_a_length_of_zero_is_an_empty_delivery(live: Live) -> None:
    for version in (b"1.0", b"1.1"):
        head = b"POST /datafeed HTTP/" + version + b"\r\nHost: a\r\nFeed: OPEN-FEED\r\nConnection: close\r\n"
        assert live.exchange(head + b"Content-Length: 0\r\n\r\n").outcome == (200, 0)
