"""What strangers may make the portal read and do: bodies, threads and passwords (S34, S35)."""

import concurrent.futures
import contextlib
import io
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoDbBlocker

from portal.models import ApiToken
from portal.server import bodies
from portal.server.bodies import Budget, NoRoom
from portal.server.gate import Rules
from portal.server.lanes import Lane, LaneFull
from portal.server.routes import LARGE_BODY, NO_BODY, PASTED_BODY, SMALL_BODY, Kind, Route, route_of
from tests.factories import make_feed
from tests.live import Live, Response, chunks, parse, read_all, request
from tests.live_fixtures import *  # noqa: F403
from tests.live_fixtures import live_with

pytestmark = pytest.mark.server

PASSWORD = "correct horse battery"
LOGIN = "/api/v1/auth/token/"


@pytest.fixture(scope="module")
def live(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    def prepare() -> None:
        make_feed("OPEN-FEED")
        User.objects.create_superuser("boss", password=PASSWORD)

    yield from live_with(tmp_path_factory.mktemp("data"), django_db_blocker, prepare)


@pytest.fixture
def token(live: Live) -> str:
    _, secret = ApiToken.objects.issue(User.objects.get(username="boss"))
    return secret


@pytest.fixture
def rules(live: Live) -> Rules:
    return live.worker.edge._gate._rules


def ask(live: Live, path: str, body: bytes = b"", *, peer: str = "127.0.0.1", **how: Any) -> Response:
    headers = {"Content-Type": how.pop("kind", "application/json"), **how.pop("headers", {})}
    data = request(path, headers, body, **how).replace(b"somewhere.example.org", b"localhost")
    return live.exchange(data, peer=peer)


# --- how much is read, and for whom ---


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/no/such/page", NO_BODY),
        ("POST", "/", NO_BODY),
        ("PUT", "/codes/explain/", NO_BODY),
        ("POST", "/codes/", NO_BODY),
        ("POST", "/docs/", NO_BODY),
        ("POST", "/api/v1/codes/", NO_BODY),
        ("GET", "/api/v1/feeds/", NO_BODY),
        ("OPTIONS", "/api/v1/feeds/", NO_BODY),
        ("PROPFIND", "/admin/", NO_BODY),
        ("PUT", "/admin/", NO_BODY),
        ("DELETE", "/api/v1/feeds/", NO_BODY),
        ("POST", "/codes/explain/", Route(PASTED_BODY, PASTED_BODY, Kind.EXPLAIN)),
        ("POST", "/api/v1/codes/explain/", Route(PASTED_BODY, PASTED_BODY, Kind.EXPLAIN)),
        ("POST", "/admin/login/", Route(SMALL_BODY, SMALL_BODY, Kind.PASSWORD)),
        ("POST", LOGIN, Route(SMALL_BODY, SMALL_BODY, Kind.PASSWORD)),
        ("POST", "/admin/password_change/", Route(SMALL_BODY, LARGE_BODY, Kind.PASSWORD)),
        ("POST", "/admin/auth/user/add/", Route(SMALL_BODY, LARGE_BODY, Kind.PASSWORD)),
        ("POST", "/admin/auth/user/1/password/", Route(SMALL_BODY, LARGE_BODY, Kind.PASSWORD)),
        ("POST", "/admin/feeds/feed/1/change/", Route(SMALL_BODY, LARGE_BODY)),
        ("POST", "/api/v1/feeds/", Route(SMALL_BODY, LARGE_BODY)),
        ("PATCH", "/api/v1/feeds/", Route(SMALL_BODY, LARGE_BODY)),
        ("POST", "/api/v1/feeds/import/", Route(SMALL_BODY, LARGE_BODY)),
        ("PUT", "/api/v1/feeds/A-FEED/", Route(SMALL_BODY, LARGE_BODY)),
        ("DELETE", "/api/v1/feeds/A-FEED/", Route(SMALL_BODY, LARGE_BODY)),
        ("POST", "/api/v1/receipt/check/", Route(SMALL_BODY, SMALL_BODY)),
    ],
)
def test_s34_a_route_says_how_large_a_body_may_be(method: str, path: str, route: Route) -> None:
    assert route_of(method, path) == route


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/no/such/page", 404),
        ("PUT", "/", 405),
        ("GET", "/docs/", 200),
        ("DELETE", "/codes/", 405),
        ("POST", "/api/v1/nothing/", 404),
        ("POST", "/api/v1/codes/", 405),
    ],
)
def test_s34_a_body_that_has_no_use_is_answered_unread(
    live: Live, method: str, path: str, status: int, chunked: bool
) -> None:
    """The answer comes although the body never ends."""
    head = request(path, {"X-Test": "1"}, b"", method=method, chunked=True).partition(b"\r\n\r\n")[0]
    if not chunked:
        head = head.replace(b"Transfer-Encoding: chunked", b"Content-Length: 30000000")
    head = head.replace(b"somewhere.example.org", b"localhost")
    with live.connect() as connection:
        connection.sendall(head + b"\r\n\r\n" + (b"1\r\nx\r\n" if chunked else b"x"))
        answer = parse(read_all(connection))
    assert answer.status == status
    assert answer.header("connection") == "close"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/api/v1/feeds/import/", SMALL_BODY),
        ("/admin/feeds/feed/add/", SMALL_BODY),
        ("/codes/explain/", PASTED_BODY),
    ],
)
def test_s34_without_a_login_a_body_is_small(live: Live, path: str, most: int, chunked: bool) -> None:
    body = b"x" * (most + 1)
    for headers in (
        {},
        {"Authorization": "Bearer sp_wrong"},
        {"Cookie": "sessionid=wrong"},
        {"X-Remote-User": "boss"},
    ):
        answer = ask(live, path, body, chunked=chunked, headers=headers)
        assert answer.status == 413
        if path.startswith("/api/"):
            assert json.loads(answer.body)["status"] == 413
    assert ask(live, path, b"x" * most, chunked=chunked).status != 413 or path == "/codes/explain/"


@pytest.mark.parametrize("chunked", [False, True])
def test_s34_with_a_token_or_a_session_a_route_gets_what_it_wants(live: Live, token: str, chunked: bool) -> None:
    browser = Client()
    browser.force_login(User.objects.get(username="boss"))
    shown = [
        {"Authorization": f"Bearer {token}"},
        {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"},
    ]
    for headers in shown:
        body = json.dumps({"feeds": "x" * 3_000_000}).encode()
        assert ask(live, "/api/v1/feeds/", body, chunked=chunked, headers=headers).status in {400, 403}
        assert ask(live, "/api/v1/receipt/check/", body, chunked=chunked, headers=headers).status == 413


def test_s34_all_bodies_together_have_one_budget_and_strangers_a_part_of_it(
    live: Live, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules.budget, "_most_of_strangers", 100_000)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            held = stack.enter_context(live.connect())
            held.sendall(unfinished("/codes/explain/", b"x" * 50_000))
        until(lambda: rules.budget.taken_by_strangers >= 100_000)
        refused = ask(live, LOGIN, b"{}")
        assert refused.status == 503
        assert int(refused.header("retry-after") or 0) > 0
        assert json.loads(refused.body)["status"] == 503
        assert ask(live, "/docs/", method="GET").status == 200
        assert live.send(headers={"Feed": "OPEN-FEED"}, body=b"x").outcome == (200, 0)
    until(lambda: rules.budget.taken == 0)
    assert ask(live, LOGIN, b"{}").status == 400


def test_s34_the_budget_is_given_back_whatever_happens(live: Live, rules: Rules, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    for path, body in ((LOGIN, b"{"), ("/api/v1/feeds/import/", b"x" * 2_000_000), ("/codes/explain/", b"text=x")):
        ask(live, path, body, headers=bearer)
        ask(live, path, body, headers=bearer, chunked=True)
    with live.connect() as connection:
        connection.sendall(unfinished("/codes/explain/", b"x" * 1000))
    until(lambda: rules.budget.taken == 0 == rules.budget.taken_by_strangers)


def test_s34_a_budget_refuses_what_does_not_fit() -> None:
    budget = Budget(100, 30)
    with budget.share(stranger=True) as stranger, budget.share(stranger=False) as known:
        stranger.grow(30)
        with pytest.raises(NoRoom):
            stranger.grow(1)
        known.grow(70)
        with pytest.raises(NoRoom):
            known.grow(1)
    assert (budget.taken, budget.taken_by_strangers) == (0, 0)


@pytest.mark.parametrize(
    ("path", "kind"), [("/api/v1/feeds/import/", "application/problem+json"), ("/admin/", "text/plain")]
)
def test_s29_a_full_temporary_folder_is_a_503(
    live: Live, token: str, path: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > bodies.SPOOL_OVER:
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    answer = ask(live, path, b"x" * 2_000_000, headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 503
    assert (answer.header("content-type") or "").startswith(kind)
    assert answer.header("retry-after")


def test_s29_django_writes_no_upload_into_the_temporary_folder(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("django.core.files.uploadedfile.tempfile.NamedTemporaryFile", full)
    browser = Client()
    browser.force_login(User.objects.get(username="boss"))
    file = io.BytesIO(b"x" * 3_000_000)
    file.name = "feeds.csv"
    assert browser.post("/api/v1/feeds/import/", {"file": file}).status_code in {400, 415}


def test_s34_a_body_outside_the_wire_has_ten_seconds(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bodies.STRANGERS_SECONDS == 10
    monkeypatch.setattr(bodies, "STRANGERS_SECONDS", 0.2)
    for path in ("/codes/explain/", "/api/v1/codes/explain/"):
        with live.connect() as connection:
            connection.sendall(unfinished(path, b"x"))
            answer = parse(read_all(connection))
        assert answer.status == 408


# --- threads ---


def test_s35_pages_metrics_health_and_deliveries_go_on_while_every_password_thread_is_busy(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blocked("django.contrib.auth.base_user.check_password", monkeypatch) as begun:
        guessers = [live.connect(f"127.0.1.{n}") for n in range(1, 25)]
        for guesser in guessers:
            guesser.sendall(login("boss", "wrong"))
        assert begun.wait(20)
        assert_all_is_well(live)
    for guesser in guessers:
        assert parse(read_all(guesser)).status in {401, 429, 503}
        guesser.close()


def test_s34_pages_and_deliveries_go_on_while_texts_are_explained(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blocked("codes.api.explain.explain", monkeypatch) as begun:
        asking = [live.connect() for _ in range(12)]
        for connection in asking:
            connection.sendall(posted("/api/v1/codes/explain/", b'{"text": "nothing"}'))
        assert begun.wait(20)
        assert_all_is_well(live)
        full = ask(live, "/api/v1/codes/explain/", b'{"text": "nothing"}')
        assert full.status == 503
        assert full.header("retry-after")
    assert {parse(read_all(connection)).status for connection in asking} == {200, 503}
    for connection in asking:
        connection.close()


def test_s35_someone_who_has_signed_in_before_does_not_wait_behind_strangers(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"username": "boss", "password": PASSWORD}).encode()
    assert ask(live, LOGIN, body, peer="127.0.2.1").status == 201
    with blocked("django.contrib.auth.base_user.check_password", monkeypatch, only_first=True) as begun:
        stranger = live.connect("127.0.2.2")
        stranger.sendall(login("boss", "wrong"))
        assert begun.wait(20)
        assert ask(live, LOGIN, body, peer="127.0.2.1").status == 201
    stranger.close()


def test_s35_a_stranger_cannot_lock_the_owner_out(live: Live) -> None:
    guesses = [
        ask(live, LOGIN, json.dumps({"username": "boss", "password": "no"}).encode(), peer="127.0.3.1")
        for _ in range(30)
    ]
    assert {answer.status for answer in guesses} == {401, 429}
    assert all(answer.header("retry-after") for answer in guesses if answer.status == 429)
    body = json.dumps({"username": "boss", "password": PASSWORD}).encode()
    assert ask(live, LOGIN, body, peer="127.0.3.2").status == 201


def test_s34_a_lane_has_few_places_and_one_network_not_all_of_them() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        lane = Lane(threads, most=3, most_of_one=2)
        with lane.place("a"), lane.place("a"):
            with pytest.raises(LaneFull), lane.place("a"):
                pass
            with lane.place("b"), pytest.raises(LaneFull), lane.place("c"):
                pass
        with lane.place("a"):
            assert lane._inside == {"a": 1}
        assert not lane._inside


def assert_all_is_well(live: Live) -> None:
    """Everything but the blocked kind answers."""
    assert ask(live, "/livez", method="GET").status == 200
    assert ask(live, "/readyz", method="GET").status == 200
    assert ask(live, "/metrics", method="GET").status == 200
    assert ask(live, "/docs/", method="GET").status == 200
    assert ask(live, "/admin/login/", method="GET").status == 200
    assert live.send(headers={"Feed": "OPEN-FEED"}, body=b"x").outcome == (200, 0)


@contextlib.contextmanager
def blocked(name: str, monkeypatch: pytest.MonkeyPatch, *, only_first: bool = False) -> Iterator[threading.Event]:
    """Let calls of this function wait until the block ends; the event says that one is waiting."""
    module, _, attribute = name.rpartition(".")
    begun, go_on = threading.Event(), threading.Event()
    original = getattr(__import__(module, fromlist=[attribute]), attribute)

    def wait(*args: Any, **kwargs: Any) -> Any:
        if not (only_first and begun.is_set()):
            begun.set()
            assert go_on.wait(60)
        return original(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(name, wait)
        try:
            yield begun
        finally:
            go_on.set()


def login(name: str, password: str) -> bytes:
    return posted(LOGIN, json.dumps({"username": name, "password": password}).encode())


def posted(path: str, body: bytes) -> bytes:
    data = request(path, {"Content-Type": "application/json"}, body)
    return data.replace(b"somewhere.example.org", b"localhost")


def unfinished(path: str, body: bytes) -> bytes:
    """A request whose last chunk never comes."""
    head = request(path, {"Content-Type": "text/plain"}, chunked=True).partition(b"\r\n\r\n")[0]
    return (
        head.replace(b"somewhere.example.org", b"localhost") + b"\r\n\r\n" + chunks(body).removesuffix(b"0\r\n\r\n")
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for what is to happen."""
    event = threading.Event()
    for _ in range(1000):
        if condition():
            return
        event.wait(0.02)
    raise AssertionError("it has not happened")
