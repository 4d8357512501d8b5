"""Duration of lists with a million receipts (S27): `python -m benchmarks.queries [receipts] [--all]`.

Fills a database of its own with so many receipts and as many hourly counts, 2,000 feeds with rules and history,
samples and audit records. Then asks the REST API with every filter and order of every list, and the admin with
every link that its lists offer, and prints the slowest of each list; with --all, every one. Exit code 1 where one
takes longer than 200 ms (of processor time; with PostgreSQL, by the clock). Uses DATABASE_URL where it is set (an
empty PostgreSQL database), else SQLite.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

WORK = Path(tempfile.mkdtemp(prefix="portal-queries-"))
os.environ |= {
    "PORTAL_DATA_DIR": str(WORK),
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "PORTAL_ANONYMOUS_RATE": "0",
}

import django

django.setup()

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, models, transaction
from django.test import Client

from feeds.models import CertificateRule, Feed, HourlyCount, Outcome, Receipt, RefusalSample
from portal.models import ApiToken, AuditRecord

# Pages need no collected files here.
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"

GOAL_SECONDS = 0.2
ROUNDS = 3
FEEDS = 2000
AUDIT_RECORDS = 100_000
SAMPLES = 2000
BATCH = 10_000
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
SPAN = timedelta(days=30)
DN = "CN=client-{},OU=Test,O=Example,C=GB"
PLACES = ("192.0.2.1", "198.51.100.7", "203.0.113.9")


@dataclass(frozen=True)
class Timed:
    """One question and the median of its times."""

    of: str
    query: str
    seconds: float


# --- filling ---


def fill(number: int) -> None:
    """Make every table as large as a busy portal's."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous=OFF")
    call_command("migrate", verbosity=0)
    with transaction.atomic():
        fill_tables(number)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)")


def fill_tables(number: int) -> None:
    Feed.objects.bulk_create(
        Feed(
            name=feed_name(n),
            status=("Receive", "Reject", "Drop")[n % 50 % 3],
            owner=f"team {n % 20}",
            labels=["web"],
        )
        for n in range(FEEDS)
    )
    feeds = list(Feed.objects.order_by("pk"))
    CertificateRule.objects.bulk_create(
        CertificateRule(feed=feed, subject_dn=DN.format(n), expires=NOW + timedelta(days=n % 400))
        for n, feed in enumerate(feeds * 3)
    )
    past = Feed.history.model
    past.objects.bulk_create(
        [
            past(**past_of(feed), history_date=NOW - timedelta(hours=n), history_type="~")
            for n in range(20)
            for feed in feeds
        ],
        batch_size=500,
    )
    insert(Receipt, (receipt(n, number) for n in range(number)))
    with connection.cursor() as cursor:
        columns = "INSERT INTO feeds_receiptfeed (receipt_id, feed, dropped)"
        cursor.execute(f"{columns} SELECT id, feed, %s FROM feeds_receipt", [False])
        cursor.execute(
            f"{columns} SELECT id, %s, %s FROM feeds_receipt WHERE id % 20 = 0".replace("id % 20", "id %% 20"),
            ["OTHER-FEED", False],
        )
    insert(HourlyCount, (count(n, number) for n in range(number)))
    insert(RefusalSample, (sample(n) for n in range(SAMPLES)))
    insert(AuditRecord, (audit_record(n) for n in range(AUDIT_RECORDS)))


def feed_name(n: int) -> str:
    return f"SYSTEM-{n:04}-EVENTS"


def past_of(feed: Feed) -> dict[str, Any]:
    return {field.attname: getattr(feed, field.attname) for field in Feed._meta.concrete_fields}


def receipt(n: int, number: int) -> dict[str, Any]:
    moment = NOW - SPAN + SPAN * n / number
    known = f"{int(moment.timestamp() * 1000):013d}_{n % 10_000:04d}_P_bench-{n // 10_000 % 90}"
    rare = n % 100_000 == 7
    return {
        "receipt_id": f"{known}-{n}",
        "feed": feed_name(n * 7919 % FEEDS),
        "status": "failed" if rare else "forwarded" if n < number * 0.9 else "stored",
        "received_at": moment,
        "bytes": n * 7919 % 65_536,
        "wire_bytes": 1000,
        "sha256": f"{n:064x}",
        "compression": ("NONE", "GZIP", "GZIP", "ZIP")[n % 4],
        "path": f"2026/02/24/{n}",
        "sender_dn": DN.format(n % 500) if n % 3 else None,
        "remote_address": PLACES[n % 3],
        "headers": {
            "Feed": feed_name(n % FEEDS),
            "System": "BENCH",
            "Environment": "PROD",
            "GUID": known,
            "Note": "x" * 200,
        },
        "guid": known,
        "duplicate_of": known if rare else "",
        "truncated": rare,
        "recovered": rare,
    }


def count(n: int, number: int) -> dict[str, Any]:
    hour = NOW - timedelta(hours=n * 720 // number)
    feed = n % (number // 720 + 1)
    refused = feed % 4 == 0
    return {
        "hour": hour,
        "feed": feed_name(feed // 2) if feed % 2 else f"UNKNOWN-{feed % 97}-{feed}",
        "outcome": Outcome.REFUSED if refused else Outcome.RECEIVED,
        "http_status": 406 if refused else 200,
        "stroom_status": (110 if feed % 8 else 300) if refused else 0,
        "known": bool(feed % 2),
        "count": n % 1000 + 1,
        "bytes": n % 65_536,
    }


def sample(n: int) -> dict[str, Any]:
    return {
        "at": NOW - timedelta(minutes=n),
        "feed": feed_name(n % 40),
        "http_status": 406,
        "stroom_status": 110,
        "receipt_id": f"r-{n}",
        "sender_dn": DN.format(n % 9),
        "headers": {"Feed": feed_name(n % 40), "Note": "x" * 500},
        "trace": [{"step": 3, "outcome": "stop", "explanation": "The feed rejects."}],
    }


def audit_record(n: int) -> dict[str, Any]:
    return {
        "number": n + 1_000_000,
        "at": (NOW - timedelta(minutes=AUDIT_RECORDS - n)).isoformat(),
        "actor": f"user{n % 9}",
        "action": ("created", "changed", "deleted")[n % 3],
        "kind": ("feed", "certificate rule", "user")[n % 3],
        "name": feed_name(n % FEEDS),
        "comment": f"ticket {n}",
        "old": "{}",
        "new": "{}",
        "digest": f"{n:064x}",
        "previous": f"{n:064x}",
    }


def insert(model: type[models.Model], rows: Iterable[dict[str, Any]]) -> None:
    """Rows as given, the rest at the model's defaults; past the ORM, which would take minutes."""
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    rest = {field.name: field.get_default() for field in fields}
    names = ", ".join(f'"{field.column}"' for field in fields)
    sql = f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({", ".join(["%s"] * len(fields))})'
    batch: list[list[Any]] = []
    with connection.cursor() as cursor:
        for row in rows:
            values = {**rest, **{name: value for name, value in row.items() if name in rest}}
            batch.append([field.get_db_prep_save(values[field.name], connection) for field in fields])
            if len(batch) >= BATCH:
                cursor.executemany(sql, batch)
                batch.clear()
        if batch:
            cursor.executemany(sql, batch)


# --- asking ---


def api_queries() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every list of the API with each filter, alone and in pairs that narrow little, and each order."""
    since, until = (NOW - timedelta(days=3)).isoformat(), (NOW - timedelta(days=20)).isoformat()
    receipts = receipt_queries(since, until)
    yield "receipts", [query | order for query in receipts for order in ({}, {"ordering": "received_at"})]
    yield "feeds", feed_queries(since)
    yield f"feeds/{feed_name(3)}/history", [{}, {"limit": 1000}]
    orders = ("hour", "-hour", "feed", "-http_status", "stroom_status", "-count", "count")
    yield "rejections", [*rejection_queries(since, until), *({"ordering": name} for name in orders)]
    yield "tokens", [{}, {"ordering": "-last_used"}]


def receipt_queries(since: str, until: str) -> list[dict[str, Any]]:
    some = Receipt.objects.order_by("pk")[500:501].get()
    plain: list[dict[str, Any]] = [{}, {"limit": 1000}, {"fields": "id", "limit": 1000}]
    return [
        *plain,
        {"feed": some.feed},
        {"feed": "OTHER-FEED"},
        {"feed": "NO-SUCH-FEED"},
        {"since": since},
        {"until": until},
        {"since": until, "until": since},
        *({"status": word} for word in ("stored", "forwarded", "failed", "forwarding")),
        *({"stroom_status": number} for number in (0, 110)),
        *({"compression": word} for word in ("NONE", "GZIP", "ZIP")),
        {"sender_dn": DN.format(1)},
        {"sender_dn": "CN=nobody"},
        *({"remote_address": place} for place in (PLACES[0], "192.0.2.99")),
        *({name: word} for name in ("duplicate", "recovered", "truncated") for word in ("true", "false")),
        {"sha256": some.sha256},
        {"sha256": "0" * 63 + "x"},
        {"guid": some.guid},
        {"id": some.receipt_id},
        {"feed": some.feed, "status": "failed"},
        {"feed": "OTHER-FEED", "status": "failed", "since": until},
        {"feed": "OTHER-FEED", "sender_dn": "CN=nobody", "until": since},
        {"since": until, "truncated": "true"},
    ]


def feed_queries(since: str) -> list[dict[str, Any]]:
    return [
        {},
        {"limit": 1000},
        *({"q": text} for text in ("SYSTEM-1", "client-17", "nowhere", "team 3")),
        *({"status": word} for word in ("Receive", "Reject", "Drop")),
        {"certificate_policy": "none"},
        {"owner": "team 3"},
        {"label": "web"},
        {"label": "none"},
        {"reference": "true"},
        {"updated_since": since},
        {"rules_expire_before": (NOW + timedelta(days=90)).isoformat()},
        *({"ordering": name} for name in ("name", "status", "owner", "certificate_policy", "created", "-updated")),
        {"offset": FEEDS - 5},
    ]


def rejection_queries(since: str, until: str) -> list[dict[str, Any]]:
    return [
        {},
        {"limit": 1000},
        {"offset": 100_000},
        {"feed": feed_name(1)},
        {"feed": "NO-SUCH-FEED"},
        {"since": since},
        {"until": until},
        *({"http_status": number} for number in (406, 500)),
        *({"stroom_status": number} for number in (110, 300, 999)),
        *({"known": word} for word in ("true", "false")),
        {"known": "false", "stroom_status": 300, "since": since},
    ]


def ask_api(secret: str) -> Iterator[Timed]:
    client = Client(SERVER_NAME="localhost")
    headers = {"Authorization": f"Bearer {secret}"}
    for name, queries in api_queries():
        for query in queries:
            address = f"/api/v1/{name}/?{urlencode(query)}"
            yield timed(f"api {name}", address, partial(client.get, address, headers=headers))
        yield from _further_pages(client, headers, name)


def _further_pages(client: Client, headers: dict[str, str], name: str) -> Iterator[Timed]:
    """Follow `next` from the first page and from one far inside."""
    if name != "receipts":
        return
    for query in ("", "?status=failed", "?feed=OTHER-FEED", "?recovered=true&limit=1"):
        address = client.get(f"/api/v1/receipts/{query}", headers=headers).json()["next"]
        for _ in range(3):
            if address is None:
                break
            yield timed("api receipts", address, partial(client.get, address, headers=headers))
            address = client.get(address, headers=headers).json()["next"]


SEARCHES = {
    Receipt: (feed_name(1), "SYSTEM", "0" * 64, "nobody"),
    HourlyCount: (feed_name(1), "UNKNOWN", "nobody"),
    RefusalSample: (feed_name(1), "client-3", "nobody"),
    Feed: ("SYSTEM-1", "client-17", "nobody"),
    AuditRecord: (feed_name(1), "user3", "ticket 77", "nobody"),
}
PAGES = ("", "feeds/feed/refusals/", "feeds/feed/deleted/", "feeds/feed/test/")


def ask_admin(user: User) -> Iterator[Timed]:
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    for path in PAGES:
        address = f"/admin/{path}"
        if client.get(address).status_code == 200:
            yield timed(f"admin {path or 'index'}", address, partial(client.get, address))
    for model in admin.site._registry:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        first = client.get(base)
        links = {unescape(link) for link in re.findall(r'href="(\?[^"]*)"', first.content.decode())}
        links |= {f"?{urlencode({'q': text})}" for text in SEARCHES.get(model, ())}
        for link in ["", *sorted(links)]:
            yield timed(f"admin {model._meta.model_name}", base + link, partial(client.get, base + link))
        row = model._default_manager.first()
        if row is not None:
            address = f"{base}{row.pk}/change/"
            yield timed(f"admin {model._meta.model_name}", address, partial(client.get, address))


def clock() -> float:
    """Seconds that do not count other work on the machine, where all of ours is done in this process."""
    return time.process_time() if connection.vendor == "sqlite" else time.perf_counter()


def timed(of: str, address: str, ask: Callable[[], Any]) -> Timed:
    times = []
    for _ in range(ROUNDS):
        began = clock()
        response = ask()
        times.append(clock() - began)
        if response.status_code not in {200, 302}:
            raise RuntimeError(f"{address} was answered {response.status_code}")
        if times[0] > 10 * GOAL_SECONDS:
            break
    return Timed(of, address, sorted(times)[len(times) // 2])


def main(number: int, *, everything: bool) -> int:
    began = time.perf_counter()
    fill(number)
    seconds = time.perf_counter() - began
    print(f"{connection.vendor}: {number} receipts and counts made in {seconds:.0f} s", flush=True)
    user = User.objects.create_superuser("bench", password="correct horse battery")
    _, secret = ApiToken.objects.issue(user)
    found = [*ask_api(secret), *ask_admin(user)]
    slow = [one for one in found if one.seconds > GOAL_SECONDS]
    groups: dict[str, list[Timed]] = {}
    for one in found:
        groups.setdefault(one.of, []).append(one)
    for of, members in groups.items():
        worst = max(members, key=lambda one: one.seconds)
        print(f"{of:32} {len(members):4} questions, slowest {worst.seconds * 1000:7.1f} ms  {worst.query[:90]}")
    for one in sorted(found if everything else slow, key=lambda one: -one.seconds):
        print(f"{one.seconds * 1000:8.1f} ms  {one.query}")
    print(f"{len(found)} questions, {len(slow)} slower than {GOAL_SECONDS * 1000:.0f} ms; median of {ROUNDS} each")
    return 1 if slow else 0


if __name__ == "__main__":
    try:
        numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
        code = main(numbers[0] if numbers else 1_000_000, everything="--all" in sys.argv)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    sys.exit(code)
