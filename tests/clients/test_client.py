"""The small client against the live portal: collector, download, reconciler, and both senders."""

import ast
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from pytest_django import DjangoDbBlocker

from feeds.models import CertificateRule, Feed
from portal.models import ApiToken
from stroom_portal_client import Damaged, Portal, Problem, Sender, apply, collect, download, plan, read_feeds
from tests.factories import make_feed
from tests.live import Live
from tests.live_fixtures import *  # noqa: F403
from tests.live_fixtures import live_with

pytestmark = pytest.mark.server

CLIENTS = Path(__file__).parents[2] / "clients"
FEED = "CLIENT-EVENTS"
Send = Callable[..., int]


@pytest.fixture(scope="module")
def live(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    def prepare() -> None:
        make_feed(FEED)
        make_feed("CLOSED-EVENTS", status="Reject")
        User.objects.create_superuser("robot", password="x")

    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "STORE_DIR", folder / "store")
        yield from live_with(folder, django_db_blocker, prepare)


@pytest.fixture
def secret(live: Live) -> str:
    return ApiToken.objects.issue(User.objects.get(username="robot"))[1]


@pytest.fixture
def portal(live: Live, secret: str) -> Portal:
    return Portal(f"http://127.0.0.1:{live.port}/", secret)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stroom_portal_client.time.sleep", lambda _: None)


def deliver(live: Live, body: bytes = b"some data\n") -> str:
    answer = live.send(headers={"Feed": FEED}, body=body)
    assert answer.outcome == (200, 0)
    return answer.text.strip()


def ids_of(portal: Portal, place: Path, **how: Any) -> list[str]:
    found: list[str] = []
    assert collect(portal, place, lambda receipt: found.append(receipt["id"]), **how) == len(found)
    return found


# --- collect ---


def test_each_run_collects_what_came_since_the_last(live: Live, portal: Portal, tmp_path: Path) -> None:
    live.clear()
    place = tmp_path / "place"
    first = [deliver(live) for _ in range(3)]
    assert ids_of(portal, place, feed=FEED) == first
    assert ids_of(portal, place) == []
    second = [deliver(live)]
    assert ids_of(portal, place, wait=1) == second
    assert ids_of(portal, place, wait=1) == []
    assert "wait" not in place.read_text()
    assert ids_of(portal, place) == []


def test_a_collector_that_fails_gets_the_page_again(live: Live, portal: Portal, tmp_path: Path) -> None:
    live.clear()
    sent = [deliver(live) for _ in range(2)]
    taken: list[str] = []

    def take(receipt: dict[str, Any]) -> None:
        taken.append(receipt["id"])
        if len(taken) == 2:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        collect(portal, tmp_path / "place", take)
    assert ids_of(portal, tmp_path / "place") == sent == taken


# --- download ---


@contextlib.contextmanager
def cut_off(port: int, lengths: list[int]) -> Iterator[str]:
    """A way to the portal on which each connection breaks after so many bytes; those after the last one hold."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))

        def relay(source: socket.socket, target: socket.socket, most: int) -> None:
            with contextlib.suppress(OSError):
                while most > 0 and (data := source.recv(min(65536, most))):
                    target.sendall(data)
                    most -= len(data)
                for side in (source, target):
                    side.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller = opened.enter_context(listener.accept()[0])
                    server = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
                    most = lengths.pop(0) if lengths else sys.maxsize
                    for pair in ((caller, server, sys.maxsize), (server, caller, most)):
                        threading.Thread(target=relay, args=pair, daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(10)


def test_a_broken_download_goes_on_where_it_ended(live: Live, portal: Portal, secret: str, tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    receipt = portal.get(f"receipts/{deliver(live, body)}/")
    with cut_off(live.port, [1_000_000, 1_500_000]) as address:
        with pytest.raises(Exception, match=r"(?i)broken|early|aborted|reset"):
            download(Portal(address, secret, tries=1), receipt, tmp_path)
        have = (tmp_path / f"{receipt['id']}.part").stat().st_size
        assert 0 < have < 1_000_000
        file = download(Portal(address, secret), receipt, tmp_path)
    assert file.read_bytes() == body
    assert [path.name for path in tmp_path.iterdir()] == [receipt["id"]]
    assert download(Portal("http://127.0.0.1:1", "none"), receipt, tmp_path) == file, (
        "a whole one is not fetched again"
    )


def test_a_download_that_is_not_what_was_received_does_not_count(
    live: Live, portal: Portal, tmp_path: Path
) -> None:
    receipt = portal.get(f"receipts/{deliver(live, b'0123456789')}/")
    (tmp_path / f"{receipt['id']}.part").write_bytes(b"wrong")
    with pytest.raises(Damaged):
        download(portal, receipt, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert download(portal, receipt, tmp_path).read_bytes() == b"0123456789"
    with pytest.raises(ValueError, match="receipt id"):
        download(portal, {**receipt, "id": "../stolen"}, tmp_path)


# --- feeds ---


def test_a_plan_is_applied_once_and_sees_what_others_changed(portal: Portal, tmp_path: Path) -> None:
    rule = {"subject_dn": " CN=client-a,OU=Test,O=Example,C=GB", "expires": "2031-01-01"}
    (tmp_path / "one.json").write_text(json.dumps({"name": "GIT-ONE", "labels": ["git"], "owner": "A"}))
    two = {"name": "GIT-TWO", "labels": ["git"], "certificate_policy": "restricted", "certificate_rules": [rule]}
    (tmp_path / "more.json").write_text(json.dumps([two, {"name": FEED, "labels": ["git"]}]))
    wanted = read_feeds(tmp_path)
    first = plan(portal, wanted, label="git")
    assert [feed["name"] for feed in first.create] == ["GIT-ONE", "GIT-TWO"]
    assert apply(portal, first, comment="ticket 4711") == []
    assert not plan(portal, wanted, label="git")

    CertificateRule.objects.filter(feed__name="GIT-TWO").delete()
    Feed.objects.create(name="GIT-OLD", labels=["git"])
    drift = plan(portal, wanted, label="git")
    assert [(one.name, list(one.new)) for one in drift.change] == [("GIT-TWO", ["certificate_rules"])]
    assert [line[:9] for line in str(drift).splitlines()] == ["~ GIT-TWO", "- GIT-OLD"]
    portal.call("PATCH", "feeds/GIT-TWO/", body={"owner": "somebody else"})
    with pytest.raises(Problem) as late:
        apply(portal, drift)
    assert (late.value.status, late.value.code, late.value.errors[0]["index"]) == (412, "precondition_failed", 0)
    apply(portal, plan(portal, wanted, label="git"))
    assert not plan(portal, wanted, label="git")
    assert set(Feed.objects.values_list("name", flat=True)) == {"GIT-ONE", "GIT-TWO", FEED, "CLOSED-EVENTS"}


def test_what_cannot_be_meant_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    nobody = Portal("http://127.0.0.1:1", "none", tries=1)
    with pytest.raises(ValueError, match="no feeds"):
        plan(nobody, [], label="git")
    with pytest.raises(ValueError, match="label git: A-FEED"):
        plan(nobody, [{"name": "A-FEED"}], label="git")
    (tmp_path / "feeds.json").write_text('[{"name": "A-FEED"}, {"name": "A-FEED"}]')
    with pytest.raises(ValueError, match="name of its own"):
        read_feeds(tmp_path)


def test_a_refusal_has_its_reason(portal: Portal, live: Live) -> None:
    with pytest.raises(Problem) as missing:
        portal.get("feeds/NO-SUCH/")
    assert (missing.value.status, missing.value.code) == (404, "not_found")
    with pytest.raises(Problem) as stranger:
        Portal(f"http://127.0.0.1:{live.port}", "wrong").get("feeds/")
    assert (stranger.value.status, stranger.value.code) == (401, "invalid_token")


# --- the other side, when it is not the portal ---


class Canned(BaseHTTPRequestHandler):
    """Answers what the test says, the last one for ever, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        status, headers, body = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815  # names of the base class

    def log_message(self, *_: Any) -> None: ...


@contextlib.contextmanager
def canned(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    asked: list[tuple[str, str]] = []
    handler = type("Handler", (Canned,), {"answers": list(answers), "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


JSON = {"Content-Type": "application/json"}
BUSY = (503, {"Content-Type": "application/problem+json", "Retry-After": "1"}, b'{"code": "busy"}')


def test_reads_are_repeated_and_writes_only_where_nothing_was_changed() -> None:
    with canned((502, {}, b""), BUSY, (200, JSON, b"[1]")) as (address, _):
        assert Portal(address, "t").get("feeds/") == [1]
    with canned(BUSY, (200, JSON, b"[]")) as (address, asked):
        assert Portal(address, "t").call("PATCH", "feeds/", body=[]).status_code == 200
        assert len(asked) == 2
    with canned((502, {}, b"")) as (address, asked):
        with pytest.raises(Problem, match="502"):
            Portal(address, "t").call("PATCH", "feeds/", body=[])
        assert len(asked) == 1
    with canned((302, {"Location": "https://login.example.org/"}, b"")) as (address, _), pytest.raises(Problem):
        Portal(address, "t").get("feeds/")


def test_the_token_goes_only_to_the_address_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page: dict[str, Any] = {
        "next": None,
        "resume": "https://evil.example/api/v1/receipts/?cursor=abc",
        "results": [],
    }
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with canned((200, JSON, json.dumps(page).encode())) as (address, asked):
        for _ in range(2):
            collect(Portal(address, "secret"), tmp_path / "place", print)
    assert asked[1] == ("/api/v1/receipts/?cursor=abc", "Bearer secret")
    assert {sign for _, sign in asked} == {"Bearer secret"}


# --- send ---


def send_in_python(outbox: Path, address: str, **headers: str) -> int:
    return Sender(address, headers.pop("Feed", FEED), headers=headers, timeout=5).send_all(outbox)


def send_in_bash(outbox: Path, address: str, **headers: str) -> int:
    feed = headers.pop("Feed", FEED)
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [CLIENTS / "retry" / "send.sh", outbox, address, feed, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        return 0
    assert done.returncode == 75, done.stderr
    return int(done.stderr.split("send again after ")[1].split()[0])


@pytest.fixture(params=[send_in_python, send_in_bash], ids=["python", "bash"])
def send(request: pytest.FixtureRequest) -> Send:
    found: Send = request.param
    return found


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    folder = tmp_path / "out box"
    folder.mkdir()
    (folder / "a [1].log").write_bytes(b"first\n")
    (folder / "b.log").write_bytes(b"second\n" * 100_000)
    return folder


def left(outbox: Path) -> list[str]:
    return sorted(path.name for path in outbox.iterdir() if path.is_file() and not path.name.startswith("."))


def test_what_was_taken_is_removed(send: Send, live: Live, outbox: Path) -> None:
    live.clear()
    assert send(outbox, f"http://127.0.0.1:{live.port}/datafeed") == 0
    assert left(outbox) == []
    assert [live.data(receipt) for receipt in live.receipts()] == [b"first\n", b"second\n" * 100_000]


def test_what_has_to_wait_stays(send: Send, live: Live, outbox: Path) -> None:
    assert send(outbox, f"http://127.0.0.1:{live.port}/datafeed", Feed="CLOSED-EVENTS") == 60
    assert send(outbox, "http://127.0.0.1:1/datafeed") == 60
    with canned((503, {"Stroom-Status": "999", "Retry-After": "7"}, b"")) as (address, asked):
        assert send(outbox, address) == 7
        assert len(asked) == 1, "one answer is enough: the next file would wait as well"
    assert left(outbox) == ["a [1].log", "b.log"]


def test_what_cannot_be_taken_is_held_with_its_reason(send: Send, live: Live, outbox: Path) -> None:
    (outbox / "held").mkdir()
    (outbox / "held" / "b.log").write_bytes(b"an older one")
    assert send(outbox, f"http://127.0.0.1:{live.port}/datafeed", Compression="LZ4") == 0
    assert left(outbox) == []
    assert (outbox / "held" / "a [1].log").read_bytes() == b"first\n"
    assert "406, Stroom-Status" in (outbox / "held" / "a [1].log.why").read_text()
    assert (outbox / "held" / "b.log").read_bytes() == b"an older one", "nothing in held/ is overwritten"
    assert len(list((outbox / "held").iterdir())) == 5


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        ((200, {}, b"<html>Please sign in</html>"), False),
        ((200, {"Stroom-Status": "0, 0"}, b""), False),
        ((302, {"Location": "/login", "Stroom-Status": "0"}, b""), False),
        ((200, {"Stroom-Status": "0", "Content-Length": "40"}, b"cut off"), True),
    ],
)
def test_only_a_whole_200_with_0_removes(send: Send, outbox: Path, answer: Any, *, stays: bool) -> None:
    with canned(answer) as (address, _):
        assert bool(send(outbox, address)) == stays
    held = [path.name for path in outbox.glob("held/*.log")]
    assert sorted([*left(outbox), *held]) == ["a [1].log", "b.log"]
    assert bool(held) != stays


# --- as a package ---


def test_the_command_line(live: Live, secret: str, tmp_path: Path) -> None:
    live.clear()
    receipt = deliver(live, b"one line\n")
    (tmp_path / "feeds.json").write_text('{"name": "BY-COMMAND", "owner": "QA"}')

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stroom_portal_client", *map(str, arguments)],
            cwd=CLIENTS / "python",
            env={**os.environ, "STROOM_PORTAL_URL": f"http://127.0.0.1:{live.port}", "STROOM_PORTAL_TOKEN": secret},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("collect", tmp_path / "in").stdout == "1 receipts\n"
    assert (tmp_path / "in" / receipt).read_bytes() == b"one line\n"
    assert (
        json.loads((tmp_path / "in" / f"{receipt}.json").read_text())["sha256"]
        == hashlib.sha256(b"one line\n").hexdigest()
    )
    planned = run("plan", tmp_path / "feeds.json")
    assert (planned.returncode, planned.stdout) == (2, "+ BY-COMMAND\n")
    assert run("apply", tmp_path / "feeds.json").returncode == 0
    assert run("plan", tmp_path / "feeds.json").returncode == 0
    assert run("plan", tmp_path / "missing.json").returncode == 1
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.log").write_text("x")
    assert run("send", tmp_path / "out", "--feed", "CLOSED-EVENTS").returncode == 75
    assert run("send", tmp_path / "out", "--feed", FEED).returncode == 0


def test_it_can_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buildapi = pytest.importorskip("flit_core.buildapi", reason="flit-core is not installed")
    shutil.copytree(CLIENTS / "python", tmp_path / "source")
    monkeypatch.chdir(tmp_path / "source")
    wheel = tmp_path / buildapi.build_wheel(str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        assert "stroom_portal_client/py.typed" in archive.namelist()
    code = "import stroom_portal_client as c; print(c.__file__, c.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path / "site"))


def test_it_is_what_it_says() -> None:
    package = CLIENTS / "python" / "stroom_portal_client"
    assert (package / "retry.py").read_bytes() == (CLIENTS / "retry" / "retry.py").read_bytes()
    for file in package.glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 9))
