"""/metrics: who may read it, that Prometheus can, and that two workers add up."""

import gzip
import os
import random
import shutil
import signal
import string
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoDbBlocker

from portal.environment import BadEnvironment, read_environment
from portal.models import ApiToken
from portal.setting_values import MetricsReaders
from tests.calls import VIEWER, make_user
from tests.factories import make_feed, make_rule
from tests.live import PROXY, Live, Response, read_all
from tests.live_fixtures import database, db, live_with
from tests.serving import Serve, wait_until_gone

__all__ = ["database", "db"]

LOCAL = {"Host": "localhost:8000"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Live]:
    yield from live_with(
        tmp_path_factory.mktemp("data"), django_db_blocker, lambda: make_rule(make_feed("OPEN-FEED"), "CN=a")
    )


def get(
    live: Live, headers: dict[str, str] | None = None, *, peer: str = "127.0.0.1", method: str = "GET"
) -> Response:
    """Ask with these headers and no others, so that a test chooses Host too."""
    fields = {"Host": "portal.example.org", **(headers or {})}
    lines = [f"{method} /metrics HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return live.exchange("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"), peer=peer)


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float:
    return found[f"stroom_portal_{name}", tuple(sorted(labels.items()))]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# --- who may read ---


@pytest.mark.parametrize("host", ["localhost", "localhost:9090", "127.0.0.1:8000", "[::1]", "[::1]:8000"])
def test_a_program_on_this_machine_reads_without_a_token(live: Live, host: str) -> None:
    answer = get(live, {"Host": host})
    assert answer.status == 200
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        ({"Host": "portal.example.org"}, "127.0.0.1"),
        ({"Host": "localhost.example.org"}, "127.0.0.1"),
        ({"Host": "localhost, localhost"}, "127.0.0.1"),
        ({**LOCAL, "X-Forwarded-For": "127.0.0.1"}, "127.0.0.1"),
        ({**LOCAL, "X-Forwarded-For": ""}, "127.0.0.1"),
        ({**LOCAL, "Forwarded": "for=127.0.0.1"}, "127.0.0.1"),
        ({**LOCAL, "Via": "1.1 proxy"}, "127.0.0.1"),
        ({**LOCAL, "X-Real-IP": "127.0.0.1"}, "127.0.0.1"),
        (LOCAL, PROXY),
        ({**LOCAL, "X-Forwarded-For": "127.0.0.1"}, PROXY),
        (bearer("sp_unknown"), "127.0.0.1"),
        ({"Authorization": "Basic YTpi"}, "127.0.0.1"),
    ],
)
def test_a_stranger_is_asked_for_a_token(live: Live, headers: dict[str, str], peer: str) -> None:
    answer = get(live, headers, peer=peer)
    assert answer.status == 401
    assert answer.header("www-authenticate") == 'Bearer realm="portal"'
    assert "stroom_portal" not in answer.text


@pytest.mark.parametrize(
    ("permissions", "scopes", "status"),
    [
        (VIEWER, ["read"], 200),
        (("feeds.view_feed", "feeds.view_hourlycount"), ["read", "write"], 200),
        (VIEWER, ["check", "write"], 403),
        (VIEWER, [], 403),
        (("feeds.view_feed",), ["read"], 403),
        (("feeds.view_hourlycount",), ["read"], 403),
        ((), ["read"], 403),
    ],
)
def test_a_token_needs_the_scope_and_its_user_the_right(
    live: Live, permissions: tuple[str, ...], scopes: list[str], status: int
) -> None:
    user = make_user(*permissions)
    token, secret = ApiToken.objects.issue(user, scopes=scopes)
    assert get(live, bearer(secret)).status == status
    token.refresh_from_db()
    assert token.last_used is not None
    user.is_active = False
    user.save()
    assert get(live, bearer(secret)).status == 401


@pytest.mark.parametrize(
    ("setting", "headers", "peer", "status"),
    [
        ("off", LOCAL, "127.0.0.1", 404),
        ("local", LOCAL, "127.0.0.1", 200),
        ("local", {}, "127.0.0.1", 403),
        ("token", LOCAL, "127.0.0.1", 401),
        ("127.0.0.3", {}, "127.0.0.3", 200),
        ("127.0.0.3", {}, "127.0.0.4", 403),
        ("127.0.0.3,token", {}, "127.0.0.4", 401),
        ("192.0.2.0/24", {"X-Forwarded-For": "192.0.2.9"}, "127.0.0.1", 403),
        ("192.0.2.0/24", {"X-Forwarded-For": "192.0.2.9"}, PROXY, 200),
        ("192.0.2.0/24", {"X-Forwarded-For": "192.0.2.9, 198.51.100.1"}, PROXY, 403),
        ("192.0.2.0/24", {"X-Forwarded-For": "198.51.100.1, 192.0.2.9"}, PROXY, 200),
        (PROXY, {}, PROXY, 200),
        (PROXY, {"X-Forwarded-For": PROXY}, PROXY, 200),
        (PROXY, {"X-Forwarded-For": f"{PROXY}, 192.0.2.9"}, PROXY, 403),
        (PROXY, {"X-Forwarded-Proto": "https"}, PROXY, 403),
        (PROXY, {"Via": "1.1 proxy"}, PROXY, 403),
    ],
)
def test_the_setting_says_who_reads(
    live: Live, setting: str, headers: dict[str, str], peer: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = read_environment({"PORTAL_METRICS_READERS": setting}).metrics_readers
    monkeypatch.setattr(live.worker.edge._metrics, "_readers", readers)
    assert get(live, headers, peer=peer).status == status


def test_the_setting_is_read_with_care(tmp_path: Path) -> None:
    def read(value: str) -> MetricsReaders:
        return read_environment({"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_METRICS_READERS": value}).metrics_readers

    assert read("") == MetricsReaders(local=True, token=True)
    assert read("OFF") == MetricsReaders()
    assert [str(network) for network in read(" 10.1.0.0/16, token ,2001:db8::/32,").networks] == [
        "10.1.0.0/16",
        "2001:db8::/32",
    ]
    for wrong in ("off,local", "everyone", "10.0.0.0/33", "prometheus.example.org"):
        with pytest.raises(BadEnvironment, match="PORTAL_METRICS_READERS"):
            read(wrong)
    for wrong in ("-1", "10001", "many"):
        with pytest.raises(BadEnvironment, match="PORTAL_METRICS_FEEDS"):
            read_environment({"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_METRICS_FEEDS": wrong})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(live: Live, method: str) -> None:
    answer = get(live, LOCAL, method=method)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


def test_without_the_database_a_token_cannot_be_judged_but_addresses_can(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def gone(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(type(ApiToken.objects), "usable", gone)
    assert get(live, bearer("sp_x")).status == 503
    assert get(live, LOCAL).status == 200


# --- what they read ---


def test_prometheus_can_read_both_formats_packed_and_plain(live: Live) -> None:
    plain = get(live, LOCAL)
    assert of(samples(plain.text), "workers") == 1
    packed = get(live, {**LOCAL, "Accept-Encoding": "gzip"})
    assert packed.header("content-encoding") == "gzip"
    assert samples(gzip.decompress(packed.body).decode()).keys() == samples(plain.text).keys()
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    modern = get(live, {**LOCAL, "Accept": accept})
    assert "application/openmetrics-text" in str(modern.header("content-type"))
    assert {family.name for family in parse_openmetrics(modern.text)} >= {"stroom_portal_deliveries"}
    head = get(live, LOCAL, method="HEAD")
    assert (head.status, head.body) == (200, b"")


def test_each_delivery_shows(live: Live) -> None:
    before = samples(get(live, LOCAL).text)
    assert live.send(headers={"Feed": "OPEN-FEED"}, body=b"x" * 1000).status == 200
    assert live.send(headers={"Feed": "OPEN-FEED", "Compression": "GZIP"}, body=b"no gzip").status == 500
    assert live.send(headers={"Feed": "NO-SUCH-FEED"}, body=b"data").status == 406
    live.send("/api/feedStatus/v2/getFeedStatus", body=b"{}")
    after = samples(get(live, LOCAL).text)

    def grown(name: str, **labels: str) -> float:
        return of(after, name, **labels) - of(before, name, **labels)

    assert grown("deliveries_total", outcome="received", http_status="200", stroom_status="0") == 1
    assert grown("deliveries_total", outcome="refused", http_status="500", stroom_status="400") == 1
    assert grown("deliveries_total", outcome="refused", http_status="406", stroom_status="110") == 1
    assert grown("delivery_wire_bytes_total") == 1007
    assert grown("delivery_stored_bytes_total") == 1000
    assert grown("delivery_duration_seconds_count", outcome="received") == 1
    assert grown("delivery_duration_seconds_count", outcome="refused") == 2
    assert grown("store_commit_duration_seconds_count") == 1
    assert (
        0
        < of(after, "store_commit_duration_seconds_sum")
        < of(after, "delivery_duration_seconds_sum", outcome="received")
    )
    assert grown("feed_status_answers_total", version="2", answer="refused") == 1
    assert of(after, "deliveries_running") == 0
    assert of(after, "ready") == 1


def test_a_running_upload_shows(live: Live) -> None:
    with live.connect() as upload:
        upload.sendall(b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN-FEED\r\nContent-Length: 10\r\n\r\n1234")
        deadline = time.monotonic() + 5
        while of(samples(get(live, LOCAL).text), "deliveries_running") != 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_r13_a_decision_that_the_database_prevents_is_a_fault(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from feeds.receipt import policies
    from portal.database.threads import Unavailable

    def gone(_: object) -> None:
        raise Unavailable("gone")

    before = samples(get(live, LOCAL).text)
    monkeypatch.setattr(policies, "read_policy", gone)
    assert live.send(headers={"Feed": "OPEN-FEED"}, body=b"x").outcome == (503, 999)
    after = samples(get(live, LOCAL).text)
    for name, labels in {
        "decision_faults_total": {"surface": "delivery"},
        "deliveries_total": {"outcome": "refused", "http_status": "503", "stroom_status": "999"},
    }.items():
        assert of(after, name, **labels) == of(before, name, **labels) + 1


def sent_at_once(live: Live, names: list[str], *, connections: int) -> list[bytes]:
    """The answers of each connection to empty deliveries that follow each other without waiting.

    One after the other they would take several changes of threads each, for which a busy machine lets us wait.
    """
    share = len(names) // connections
    sent = []
    for start in range(0, len(names), share):
        heads = [
            b"POST /datafeed HTTP/1.1\r\nHost: a\r\nFeed: %b\r\nType: %b\r\nContent-Length: 0\r\n" % (2 * (field,))
            for field in (name.encode() for name in names[start : start + share])
        ]
        connection = live.connect(timeout=60)
        connection.sendall(b"\r\n".join(heads) + b"Connection: close\r\n\r\n")
        sent.append(connection)
    answers = [read_all(connection).lower() for connection in sent]
    for connection in sent:
        connection.close()
    return answers


def test_a_thousand_feed_names_make_no_series(live: Live) -> None:
    chance = random.Random(1)
    before = samples(get(live, LOCAL).text).keys()
    names = ["".join(chance.choices(string.ascii_uppercase, k=12)) for _ in range(990)]
    odd = ['"', "\\", "{}", "{a=b}", "ü" * 300, "\u202e", "a b", "=1+1", "#", "💥"]
    for answers in sent_at_once(live, [*names, *odd], connections=20):
        assert answers.count(b"http/1.1 406") == answers.count(b"stroom-status: 110\r\n") == 50
    text = get(live, LOCAL).text
    assert samples(text).keys() == before
    assert not any(name in text for name in names)


# --- several workers ---


@pytest.mark.server
def test_two_workers_add_up_and_a_killed_one_leaves_no_upload_behind(tmp_path: Path) -> None:
    serve = Serve(tmp_path)
    serve.start()
    try:
        serve.make_feed("OPEN-FEED")

        def read() -> Samples:
            answer = serve.send("/metrics", method="GET", host="localhost")
            assert answer.status == 200, answer
            return samples(answer.text)

        for _ in range(40):
            assert serve.send("/datafeed", b"12345", feed="OPEN-FEED").status == 200
        for _ in range(4):
            found = read()
            assert of(found, "deliveries_total", outcome="received", http_status="200", stroom_status="0") == 40
            assert of(found, "delivery_stored_bytes_total") == 200
            assert of(found, "workers") == 2
            assert of(found, "worker_starts_total") == 2
            assert of(found, "store_receipts") <= 40
        assert len(list((tmp_path / "metrics").glob("counter_*.db"))) == 2

        uploads = [serve.connect() for _ in range(8)]
        for upload in uploads:
            upload.sendall(b"PUT /datafeed HTTP/1.1\r\nHost: a\r\nFeed: OPEN-FEED\r\nContent-Length: 9\r\n\r\n1")
        _until(lambda: of(read(), "deliveries_running") == 8)
        workers = serve.workers()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(workers, 5)
        _until(lambda: _answers(serve) and of(read(), "workers") == 2)
        found = read()
        assert of(found, "deliveries_running") == 0
        assert of(found, "worker_starts_total") == 4
        assert of(found, "deliveries_total", outcome="received", http_status="200", stroom_status="0") == 40
        for upload in uploads:
            upload.close()
    finally:
        serve.stop()
    assert not list((tmp_path / "metrics").glob("gauge_live*"))


def _until(true: object) -> None:
    deadline = time.monotonic() + 20
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _answers(serve: Serve) -> bool:
    try:
        return serve.send("/livez", method="GET").status == 200
    except (OSError, AssertionError):
        return False


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say(live: Live) -> None:
    text = get(live, LOCAL).body
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
