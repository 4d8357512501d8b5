"""A program that follows `resume` gets each acknowledged receipt once (R33): the collector of docs/api.md does."""

import http.client
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests import postgresql
from tests.calls import VIEWER, caller
from tests.factories import make_receipt
from tests.feeds.api.test_receipts import ids
from tests.helpers.tiers import sizes
from tests.postgresql import PostgreSql
from tests.serving import ROOT, Serve

Collect = Callable[[Path, Callable[[dict[str, Any]], object]], None]
START = "/api/v1/receipts/?ordering=received_at"
FEED = "COLLECTED"
WAIT_SECONDS = 120


def path_of(address: str) -> str:
    return address.removeprefix("http://testserver")


# --- the address ---


@pytest.mark.django_db
def test_every_page_of_the_rising_order_says_where_to_go_on() -> None:
    viewer = caller(*VIEWER)
    empty = viewer.get(START)
    assert empty.json()["next"] is None
    first = [make_receipt().receipt_id for _ in range(3)]
    page = viewer.get(path_of(empty.json()["resume"]) + "&limit=2")
    assert (ids(page), page.json()["resume"]) == (first[:2], page.json()["next"])
    assert f'<{page.json()["resume"]}>; rel="resume"' in page["Link"]
    last = viewer.get(path_of(page.json()["resume"]))
    assert (ids(last), last.json()["next"]) == (first[2:], None)
    for _ in range(2):
        nothing = viewer.get(path_of(last.json()["resume"]))
        assert (ids(nothing), nothing.json()["resume"]) == ([], last.json()["resume"])
    again = viewer.get(path_of(last.json()["resume"]), if_none_match=nothing["ETag"])
    assert again.status_code == 304
    later = [make_receipt().receipt_id for _ in range(2)]
    assert ids(viewer.get(path_of(nothing.json()["resume"]))) == later


@pytest.mark.django_db
def test_a_page_that_was_reached_backwards_goes_on_behind_itself() -> None:
    viewer = caller(*VIEWER)
    made = [make_receipt().receipt_id for _ in range(5)]
    second = viewer.get(path_of(viewer.get(f"{START}&limit=2").json()["next"])).json()
    back = viewer.get(path_of(second["previous"])).json()
    assert [receipt["id"] for receipt in back["results"]] == made[:2]
    assert ids(viewer.get(path_of(back["resume"]))) == made[2:4]
    before = viewer.get(path_of(back["previous"] or second["previous"])).json()
    assert before["resume"] is not None


@pytest.mark.django_db
def test_newest_first_has_nothing_to_go_on_with() -> None:
    make_receipt()
    page = caller(*VIEWER).get("/api/v1/receipts/")
    assert page.json()["resume"] is None
    assert "resume" not in page.headers.get("Link", "")


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["feed=F-1", "status=stored", "status=stored&feed=F-1", "since=2026-01-01"])
def test_filters_stay_in_the_address_and_hide_nothing(monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """Also where a page is looked for in parts that hold nothing that is asked for."""
    monkeypatch.setattr("portal.rest.pagination.LOOKED_THROUGH", 3)
    viewer = caller(*VIEWER)
    address, wanted, seen = f"{START}&limit=2&{query}", [], []
    for number in range(30):
        made = make_receipt(feed=f"F-{number % 2}", status="stored" if number % 3 else "failed")
        if ("feed" not in query or number % 2) and ("status" not in query or number % 3):
            wanted.append(made.receipt_id)
        if number % 4 == 0:
            page = viewer.get(path_of(address)).json()
            seen += [receipt["id"] for receipt in page["results"]]
            address = page["resume"]
    page = {"next": address}
    while page["next"]:
        page = viewer.get(path_of(page["next"])).json()
        seen += [receipt["id"] for receipt in page["results"]]
    assert seen == wanted


@pytest.mark.django_db
def test_a_page_as_a_table_names_it_in_its_link() -> None:
    make_receipt()
    table = caller(*VIEWER).get(f"{START}&format=csv&limit=5")
    (address,) = re.findall(r'<([^>]+)>; rel="resume"', table["Link"])
    made = make_receipt().receipt_id
    assert made in b"".join(caller(*VIEWER).get(path_of(address))).decode()


# --- the collector ---


def documented_collector(serve: Serve, token: str) -> Collect:
    """The function as it stands in docs/api.md."""
    page = (ROOT / "docs" / "api.md").read_text()
    (code,) = re.findall(r"^(?:import pathlib\n\n\n)(def collect\(.*?)^\n\n", page, re.MULTILINE | re.DOTALL)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    names: dict[str, Any] = {
        "pathlib": __import__("pathlib"),
        "PORTAL": f"http://127.0.0.1:{serve.port}/api/v1",
        "portal": session,
    }
    exec(code, names)
    collect: Collect = names["collect"]
    return collect


def viewer_token(serve: Serve) -> str:
    return serve.shell(
        "from django.core.management import call_command; call_command('create_token', 'admin', '--scopes', 'read')"
    )


def deliver(serve: Serve, number: int) -> list[str]:
    """Deliveries over one connection; the ids that were promised."""
    promised = []
    with closing(http.client.HTTPConnection("127.0.0.1", serve.port, timeout=60)) as connection:
        for _ in range(number):
            connection.request("POST", "/datafeed", secrets.token_bytes(16), {"Feed": FEED})
            answer = connection.getresponse()
            text = answer.read().decode().strip()
            assert answer.status == 200, text
            promised.append(text)
    return promised


def collect_meanwhile(serve: Serve, folder: Path, *, senders: int, each: int) -> tuple[list[str], list[str]]:
    """What was promised and what was collected, without a pause, while it was delivered."""
    collect, place, found = documented_collector(serve, viewer_token(serve)), folder / "place", []
    with ThreadPoolExecutor(senders) as pool:
        sending = [pool.submit(deliver, serve, each) for _ in range(senders)]
        while not all(one.done() for one in sending):
            collect(place, lambda receipt: found.append(receipt["id"]))
    collect(place, lambda receipt: found.append(receipt["id"]))
    return [receipt_id for one in sending for receipt_id in one.result()], found


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    portal = Serve(tmp_path / "data", PORTAL_LOG_DELIVERIES="off")
    portal.start()
    portal.make_feed(FEED)
    yield portal
    portal.stop()


@pytest.mark.server
@pytest.mark.parametrize("each", sizes(20, 250))
def test_r33_a_collector_without_a_pause_misses_and_doubles_nothing(
    serve: Serve, tmp_path: Path, each: int
) -> None:
    promised, found = collect_meanwhile(serve, tmp_path, senders=8, each=each)
    assert len(promised) == 8 * each
    assert sorted(found) == sorted(promised)


# --- PostgreSQL, which gives keys before it commits ---

needs_postgresql = pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable())
COLUMNS = """
    feed, status, stroom_status, received_at, bytes, wire_bytes, sha256, compression, path, sender_dn,
    remote_address, headers, groups, notes, feed_version, guid, request_id, duplicate_of, truncated, recovered
"""


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with PostgreSql() as server:
        portal = Serve(tmp_path_factory.mktemp("collected") / "data", DATABASE_URL=server.url())
        portal.start()
        try:
            portal.make_feed(FEED)
            yield portal
        finally:
            portal.stop()


class Held:
    """A transaction with a receipt in it that has its key and is not committed."""

    def __init__(self, serve: Serve) -> None:
        self.ids: list[str] = []
        self._connection = psycopg.connect(serve.environment["DATABASE_URL"])

    def insert(self, *, rows: int = 1, statement: str = "") -> None:
        for _ in range(rows):
            self.ids.append(f"held_{secrets.token_hex(8)}")
            copied = f"INSERT INTO feeds_receipt (receipt_id, {COLUMNS}) SELECT %s, {COLUMNS} FROM feeds_receipt"
            self._connection.execute(f"{copied} ORDER BY id LIMIT 1", (self.ids[-1],))

    def savepoint_taken_back(self) -> None:
        self._connection.execute("SAVEPOINT one")
        self.insert()
        self._connection.execute("ROLLBACK TO SAVEPOINT one")
        self.ids.pop()

    def commit(self) -> None:
        self._connection.commit()
        self._connection.close()

    def roll_back(self) -> None:
        self._connection.rollback()
        self._connection.close()
        self.ids.clear()


class Collector:
    """The documented collector at work on one portal."""

    def __init__(self, serve: Serve, place: Path) -> None:
        self.found: list[str] = []
        self._place = place
        self._collect = documented_collector(serve, viewer_token(serve))

    def go_on(self) -> list[str]:
        """What is new."""
        before = len(self.found)
        self._collect(self._place, lambda receipt: self.found.append(receipt["id"]))
        return self.found[before:]


@pytest.mark.long
@needs_postgresql
@pytest.mark.server
def test_r33_a_transaction_held_open_hides_nothing_behind_it(on_postgresql: Serve, tmp_path: Path) -> None:
    (first,) = deliver(on_postgresql, 1)
    collector = Collector(on_postgresql, tmp_path / "place")
    assert first in collector.go_on()
    held = Held(on_postgresql)
    held.insert()
    promised = deliver(on_postgresql, 2)
    assert collector.go_on() == [], "what is behind a key that may still be committed waits"
    newest = requests.get(
        f"http://127.0.0.1:{on_postgresql.port}/api/v1/receipts/?limit=2",
        headers={"Authorization": f"Bearer {viewer_token(on_postgresql)}"},
        timeout=30,
    ).json()["results"]
    assert [receipt["id"] for receipt in newest] == promised[::-1], "who looks sees them at once"
    held.commit()
    assert collector.go_on() == held.ids + promised
    assert collector.go_on() == []


@pytest.mark.long
@needs_postgresql
@pytest.mark.server
def test_r33_keys_that_are_never_committed_hold_nobody_up(on_postgresql: Serve, tmp_path: Path) -> None:
    deliver(on_postgresql, 1)
    collector = Collector(on_postgresql, tmp_path / "place")
    collector.go_on()
    lost, mixed, several = Held(on_postgresql), Held(on_postgresql), Held(on_postgresql)
    lost.insert(rows=3)
    first = deliver(on_postgresql, 1)
    mixed.savepoint_taken_back()
    second = deliver(on_postgresql, 1)
    mixed.insert()
    several.insert(rows=2)
    assert collector.go_on() == []
    lost.roll_back()
    assert collector.go_on() == first + second, "the key that the savepoint took is gone with it"
    third = deliver(on_postgresql, 1)
    several.insert()
    mixed.commit()
    assert collector.go_on() == mixed.ids
    several.commit()
    assert collector.go_on() == several.ids[:2] + third + several.ids[2:]


@pytest.mark.long
@needs_postgresql
@pytest.mark.server
def test_r33_a_collector_misses_nothing_while_transactions_are_held(on_postgresql: Serve, tmp_path: Path) -> None:
    deliver(on_postgresql, 1)
    before = Collector(on_postgresql, tmp_path / "first")
    before.go_on()
    stop, committed = threading.Event(), []

    def hold() -> None:
        while not stop.is_set():
            held = Held(on_postgresql)
            held.insert(rows=1 + secrets.randbelow(3))
            stop.wait(secrets.randbelow(200) / 1000)
            held.roll_back() if secrets.randbelow(4) == 0 else held.commit()
            committed.extend(held.ids)

    holders = [threading.Thread(target=hold) for _ in range(3)]
    for holder in holders:
        holder.start()
    try:
        (folder := tmp_path / "meanwhile").mkdir()
        promised, found = collect_meanwhile(on_postgresql, folder, senders=4, each=75)
    finally:
        stop.set()
        for holder in holders:
            holder.join(WAIT_SECONDS)
    rest = Collector(on_postgresql, folder / "place").go_on()
    everything = before.found + promised + committed
    assert len(promised) == 300
    assert sorted(found + rest) == sorted(everything)
