"""S25: no answer shows a stack trace, a path of this machine, SQL, a version or a setting, whatever is asked."""

import itertools
import json
import logging
import random
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import django
import pytest
import rest_framework
from django.conf import settings as django_settings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from codes import loading
from feeds.models import Feed, RefusalSample
from tests.calls import Answer
from tests.factories import DN, NOW, make_feed, make_receipt
from tests.feeds.admin.admin_client import feed_form, signed_in

pytestmark = [pytest.mark.django_db]

#: What tells of the inside. The catalogue's own texts name programs and headers, so each shape is a narrow one.
INSIDE = {
    "a stack trace": r"Traceback \(most recent|File \\?\"[^\"]+\\?\", line \d|\bat 0x[0-9a-f]{6,}",
    "a path": r"/tmp/|/root/|/home/|/usr/lib/|site-packages|\.venv|\w+\.py\b(?! )",
    "SQL": r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM) \"?[a-z_\"]+|sqlite3\.|psycopg|OperationalError"
    r"|no such table|UNIQUE constraint|feeds_feed\b|portal_apitoken\b(?!/)",
    "an exception": r"\b(?:[A-Z][a-z]+)+(?:Error|Exception|DoesNotExist)\b(?! \()|Cannot resolve keyword",
    "a setting": r"DJANGO_SETTINGS_MODULE|INSTALLED_APPS|SECRET_KEY|DEBUG = ",
}
VERSIONS = (f"Django/{django.get_version()}", f"Django {django.get_version()}", f"Python/{sys.version_info[0]}.")
#: Names that the catalogue and the documentation write on purpose, such as exceptions of client libraries.
ON_PURPOSE = re.compile(r"^/(?:docs/|codes/|api/v1/(?:codes|sources|disagreements)|api/schema|api/docs|$)")

HOSTILE = [
    *(
        "",
        " ",
        "\0",
        "\x00x",
        "'",
        '"',
        "';--",
        "' OR 1=1--",
        "%",
        "%%",
        "%s",
        "%(x)s",
        "{}",
        "{0.__class__}",
        "\\",
    ),
    *(
        "-1",
        "0",
        "1",
        "9" * 30,
        "1e400",
        "nan",
        "Infinity",
        "0x10",
        "٣",
        "1_000",
        "+1",
        "1.5",
        "true",
        "null",
        "[]",
    ),
    *("2026-13-99", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59+14:00", "10000-01-01", "2026-02-24T18:10:27"),
    *("a" * 5_000, "é" * 300, "\ud800", "\U0001f4a3" * 50, "\u202e", "\r\nX: y", "\x1b[31m", "\uffff", "ǅ" * 9),
    *(
        "../" * 12 + "etc/passwd",
        "..\\..",
        "/etc/passwd",
        "file:///etc/passwd",
        "C:\\",
        "~root",
        "|id",
        "$(id)",
        "`id`",
    ),
    *(
        "<x>",
        "{{7*7}}",
        "(" * 200,
        "[" * 200,
        "*" * 200,
        "(a+)+$",
        "a,b,,c",
        ",",
        "-",
        "--",
        "a b c",
        "name,-name,name",
    ),
]
NAMES = [
    *(
        "q",
        "p",
        "o",
        "e",
        "all",
        "page",
        "limit",
        "offset",
        "cursor",
        "ordering",
        "fields",
        "format",
        "feed",
        "since",
    ),
    *(
        "until",
        "status",
        "code",
        "code__in",
        "codes",
        "http",
        "stroom",
        "class",
        "registry",
        "owner",
        "vendor",
        "at",
    ),
    *("source", "header", "retry", "standing", "disagrees", "sample", "next", "name", "id", "sha256", "sender_dn"),
    *("quiet", "refused", "rules", "status__exact", "name__contains", "name__in", "id__exact", "pk__in", "id__gt"),
    *(
        "created__year",
        "created__date",
        "labels__0",
        "labels__contains",
        "headers__x",
        "history__id",
        "user__password",
    ),
    *(
        "password",
        "user__password__startswith",
        "version__gte",
        "_popup",
        "_to_field",
        "_changelist_filters",
        "x[]",
    ),
    *("certificate_rules__subject_dn", "certificate_policy", "name__regex", "__class__", "q\0", "\ud800", "é", ""),
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X" * 40]
BODIES: list[tuple[str, bytes]] = [
    ("application/json", body)
    for body in (
        *(b"", b"{", b"[]", b"{}", b"null", b"1", b'"x"', b'{"name":1}', b'{"name":{"a":[1]}}', b"[1]", b"[{}]"),
        *(
            b"\xff\xfe",
            b'{"a":1,"a":2}',
            b"[" * 3000,
            b'{"name":"' + b"A" * 4000 + b'"}',
            b'{"x":NaN}',
            b"\0",
            b'{"":0}',
        ),
        *(b'{"status":["Receive"],"certificate_rules":{"0":{}}}', b'{"name":"A\\u0000B"}', b'{"name":"\\ud800"}'),
        *(b'[{"name":"FEED-A","status":1}]', b'{"text":1}', b'{"headers":[],"sender_dn":{}}', b"9" * 5000),
        *(b'{"username":[],"password":{}}', b'{"username":"\\u0000","password":"\\ud800","expires":"x"}'),
    )
] + [
    ("application/x-www-form-urlencoded", b"a=%00&action=x&_selected_action=%ff&post=yes&change_comment=%ed%a0%80"),
    ("application/x-www-form-urlencoded", b"&".join(b"k%d=1" % n for n in range(2_000))),
    (
        "multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nPK\3\4",
    ),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\r\n\r\n"),
    ("multipart/form-data", b"--x--"),
    ("text/csv", b"name,nonsense\nA,\0\n"),
    ("application/zip", b"PK\3\4" + bytes(60)),
    ("text/plain; charset=utf-17", b"\xff"),
    ("; ;", b"x"),
    ("application/json; charset=\xff".encode("latin-1").decode("latin-1"), b"{}"),
]


@pytest.fixture(scope="module", autouse=True)
def _catalogue(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        loading.load()
        yield
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def boss(db: None) -> Client:
    """Somebody who reaches every page; what raises is answered as it would be outside a test."""
    make_feed("FEED-A", allow=[DN])
    make_receipt("FEED-A", receipt_id=RECEIPT)
    RefusalSample.objects.create(at=NOW, feed="FEED-A", http_status=406, stroom_status=110, receipt_id="r2")
    client = signed_in(superuser=True)
    client.raise_request_exception = False
    return client


def routes(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    """Every address of the map, with its parameters as `<type:name>`."""
    for pattern in resolver.url_patterns:
        path = before + str(pattern.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, path)
        elif isinstance(pattern, URLPattern):
            yield path


RECEIPT = "1771956627192_0001_P_test-1"
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>|\(\?P<(\w+)>[^)]*\)")
GOOD = {
    "int": "1",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "slug": "404",
    "str": "FEED-A",
    "path": "1",
    "registry": "http",
    "code": "404",
    "kind": "csv",
    "receipt_id": RECEIPT,
    "app_label": "feeds",
}


def fill(route: str, value: str | None = None) -> str:
    """The route with a value for each parameter: a usable one, or `value` where the kind of parameter takes any."""

    def one(match: re.Match[str]) -> str:
        kind, name, named = match.groups()
        if value is not None and kind in {"str", "path", None}:
            return value
        return GOOD.get(name or named) or GOOD.get(kind or "str", "1")

    return PARAMETER.sub(one, route)


ROUTES = [route for route in sorted(set(routes(get_resolver()))) if route != "/admin/logout/"]
#: Which values meet which names; the same in every run.
CHANCE = random.Random(25)


@pytest.fixture(autouse=True)
def _same_chance(request: pytest.FixtureRequest) -> None:
    CHANCE.seed(request.node.name)


def tell(answer: HttpResponse, path: str) -> list[str]:
    """What the answer gives away."""
    content = b"".join(answer) if answer.streaming else answer.content
    body = content.decode("utf-8", "replace")
    head = "\n".join(f"{name}: {value}" for name, value in answer.items())
    faults = [f"HTTP {answer.status_code}"] if answer.status_code >= 500 else []
    shapes = {} if ON_PURPOSE.match(path) and answer.status_code < 400 else INSIDE
    for name, shape in shapes.items():
        faults += [f"{name}: {found[0]!r}" for found in itertools.islice(re.finditer(shape, f"{head}\n{body}"), 2)]
    faults += [version for version in VERSIONS if version in head or version in body]
    faults += [name for name in ("Server", "X-Powered-By") if name in answer]
    return faults


def ask(client: Client, method: str, path: str, kind: str = "", body: bytes = b"", **query: Any) -> Answer:
    return client.generic(method, path, body, content_type=kind, **query)


def test_the_whole_map_is_asked() -> None:
    assert len(ROUTES) > 110
    assert any(route.startswith("/admin/feeds/feed/<int:feed_id>/revert/") for route in ROUTES)


def test_s25_no_method_or_body_shows_the_inside(boss: Client) -> None:
    found = {}
    for route in ROUTES:
        path = fill(route)
        calls = [(method, "", b"") for method in CHANCE.sample(METHODS, 4)]
        calls += [(method, *body) for method in writers_of(route) for body in CHANCE.sample(BODIES, 4)]
        for method, kind, body in calls:
            with transaction.atomic():
                answer = ask(boss, method, path, kind, body)
                transaction.set_rollback(True)
            if faults := tell(answer, path):
                found[f"{method} {path} {kind} {body[:40]!r}"] = faults[:3]
    assert found == {}


def writers_of(route: str) -> list[str]:
    return ["POST", "PUT", "PATCH"] if route.startswith("/api/") else ["POST"]


def test_s25_no_parameter_shows_the_inside(boss: Client) -> None:
    """Each address with some names and values, alone and several together."""
    found = {}
    for route in ROUTES:
        path = fill(route)
        for number in (1, 1, 2, 4):
            query = dict(zip(CHANCE.sample(NAMES, number), CHANCE.sample(HOSTILE, number), strict=True))
            answer = boss.get(path, {safe(name): safe(value) for name, value in query.items()})
            if faults := tell(answer, path):
                found[f"{path} {query}"[:300]] = faults[:3]
    assert found == {}


@pytest.mark.parametrize(
    "path", ["/admin/feeds/feed/", "/admin/feeds/receipt/", "/api/v1/feeds/", "/api/v1/receipts/"]
)
def test_s25_no_parameter_of_a_list_shows_the_inside(path: str, boss: Client) -> None:
    """Here every name and every value is tried."""
    found = {}
    pairs = [(name, CHANCE.choice(HOSTILE)) for name in NAMES] + [
        (CHANCE.choice(NAMES), value) for value in HOSTILE
    ]
    for name, value in pairs:
        if faults := tell(boss.get(path, {safe(name): safe(value)}), path):
            found[f"{name}={value!r}"[:300]] = faults[:3]
    assert found == {}


def safe(text: str) -> str:
    """Half of a surrogate pair cannot be sent; its bytes can."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1") if "\ud800" in text else text


def test_s25_no_path_shows_the_inside(boss: Client) -> None:
    found = {}
    for route in ROUTES:
        if not PARAMETER.search(route):
            continue
        for value in CHANCE.sample(HOSTILE, 8):
            path = fill(route, quote(value.encode("utf-8", "surrogatepass"), safe=""))
            if faults := tell(boss.get(path), path):
                found[path[:200]] = faults[:3]
    assert found == {}


def test_s25_no_request_header_shows_the_inside(boss: Client) -> None:
    found = {}
    names = [
        "Accept",
        "Accept-Language",
        "If-None-Match",
        "If-Match",
        "If-Modified-Since",
        "Range",
        "Authorization",
    ]
    names += [
        "Content-Type",
        "X-Request-ID",
        "Cookie",
        "Referer",
        "Origin",
        "X-CSRFToken",
        "Accept-Encoding",
        "Host",
    ]
    for path in (
        "/",
        "/codes/",
        "/codes/http/404/",
        "/admin/feeds/feed/",
        "/api/v1/feeds/",
        "/api/v1/feeds/FEED-A/",
    ):
        for name in names:
            for value in CHANCE.sample(HOSTILE, 3):
                told = value.encode("utf-8", "surrogatepass").decode("latin-1")
                client = Client(raise_request_exception=False) if name in {"Cookie", "Authorization"} else boss
                if faults := tell(client.get(path, headers={name: told}), path):
                    found[f"{path} {name}: {value!r}"[:200]] = faults[:3]
    assert found == {}


def test_s25_no_field_of_a_form_shows_the_inside(boss: Client) -> None:
    feed = Feed.objects.get().pk
    found = {}
    for name in [
        *feed_form(),
        "seen_version",
        "paste_certificate",
        "_read_certificate",
        "_saveasnew",
        "paste_action",
    ]:
        for value in CHANCE.sample(HOSTILE, 4):
            form = {**feed_form(name="FEED-A"), name: safe(value)}
            with transaction.atomic():
                answer = boss.post(f"/admin/feeds/feed/{feed}/change/", form)
                transaction.set_rollback(True)
            if faults := tell(answer, "/admin/"):
                found[f"{name}={value!r}"[:200]] = faults[:3]
    assert found == {}


def test_s25_what_fails_inside_is_told_without_it(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"SELECT * FROM feeds_feed at {django_settings.BASE_DIR} /root/x.py")

    monkeypatch.setattr("feeds.templatetags.feeds_overview.overview", fail)
    monkeypatch.setattr("feeds.api.feeds.FeedViewSet.get_queryset", fail)
    for path in ("/admin/", "/api/v1/feeds/"):
        answer = boss.get(path)
        assert answer.status_code == 500
        assert tell(answer, path) == ["HTTP 500"]
        assert answer["X-Request-ID"] in answer.content.decode() or path == "/admin/"


def test_the_look_finds_what_it_is_for() -> None:
    for body in (
        'Traceback (most recent call last):\n  File "/srv/portal/x.py", line 3',
        "no such table: feeds_feed",
        'SELECT "id" FROM x',
        "FieldError at /x: Cannot resolve keyword",
        json.dumps({"detail": "UNIQUE constraint failed: feeds_feed.name"}),
        f"Django Version: Django {django.get_version()}",
        "/root/.venv/lib",
    ):
        assert tell(HttpResponse(body), "/admin/"), body
    assert tell(HttpResponse("x", status=503), "/admin/")
    assert rest_framework.VERSION not in VERSIONS
