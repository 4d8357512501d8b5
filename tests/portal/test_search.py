"""The one search: what it finds, for whom, and through which index."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.utils import timezone
from simple_history.models import HistoricalRecords

from feeds.admin import finder
from feeds.models import CertificateRule, RefusalSample
from portal import search
from portal.audit import record
from tests.factories import DN, make_feed, make_receipt, make_rule

pytestmark = pytest.mark.django_db

KINDS = {
    "feeds.view_feed": "PAYROLL-PROD-EVENTS",
    "feeds.view_receipt": "run-00001",
    "feeds.view_refusalsample": "run-00002",
    "portal.view_auditrecord": "run-00003",
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = make_feed(labels=["gdpr", "pay"], owner="Finance systems")
    make_feed("WEB-ACCESS")
    make_rule(feed, DN)
    CertificateRule.objects.create(subject_dn="CN=stolen,O=Example,C=GB", action="deny")
    make_receipt(request_id="run-00001", sender_dn=DN, remote_address="192.0.2.9")
    make_refusal()
    asked = SimpleNamespace(request_id="run-00003", client_address="192.0.2.1")
    monkeypatch.setattr(HistoricalRecords.context, "request", asked, raising=False)
    record.record("looked", kind="feed", key=feed.pk, name=feed.name)
    monkeypatch.undo()


def make_refusal() -> RefusalSample:
    return RefusalSample.objects.create(
        at=timezone.now(),
        feed="UNKNOWN-FEED",
        http_status=406,
        stroom_status=110,
        receipt_id="1796070111953_0000_P_vm-1",
        request_id="run-00002",
        remote_address="192.0.2.10",
        sender_dn="CN=stranger,O=Example,C=GB",
    )


def user_with(*permissions: str) -> User:
    user = User.objects.create_user("someone", password="x", is_staff=True)
    codenames = [name.partition(".")[2] for name in permissions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
def everything(client: Client, world: None) -> Client:
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


def titles(client: Client, text: str) -> set[str]:
    answer = client.get("/search/", {"q": text})
    assert answer.status_code == 200, answer
    return {part.finder.title for part in answer.context["found"]}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("gdpr", {"Feeds"}),
        ("Finance", {"Feeds"}),
        ("run-00001", {"Receipts"}),
        ("192.0.2.9", {"Receipts"}),
        ("192.0.2.10", {"Refused deliveries"}),
        ("run-00002", {"Refused deliveries"}),
        ("run-00003", {"Audit records"}),
        (DN, {"Receipts", "Certificate rules"}),
        ("C = GB, O = Example, OU = Test, CN = client-a", {"Receipts", "Certificate rules"}),
        ("/C=GB/O=Example/OU=Test/CN=client-a", {"Receipts", "Certificate rules"}),
        ("client-a", {"Receipts", "Certificate rules"}),
        ("stolen", {"Certificate rules"}),
        ("stranger", {"Refused deliveries"}),
    ],
)
def test_each_kind_is_found_by_what_names_it(everything: Client, text: str, kinds: set[str]) -> None:
    assert titles(everything, text) - {"Status codes"} == kinds


def test_an_exact_hit_opens_at_once(everything: Client) -> None:
    receipt, sample = make_receipt(), RefusalSample.objects.get()
    expected = {
        receipt.receipt_id: f"/admin/feeds/receipt/{receipt.pk}/change/",
        sample.receipt_id: f"/admin/feeds/refusalsample/{sample.pk}/change/",
        "406/110": "/codes/lookup/?http=406&stroom=110",
    }
    opened = {text: everything.get("/search/", {"q": text})["Location"] for text in expected}
    assert opened == expected
    assert "/admin/feeds/feed/" in everything.get("/search/", {"q": "WEB-ACCESS"})["Location"]


def test_a_long_dn_is_compared_to_its_end(everything: Client) -> None:
    names = [f"CN={'x' * 300}{end},O=Example" for end in "ab"]
    receipts = [make_receipt(sender_dn=name) for name in names]
    (part,) = [
        part
        for part in everything.get("/search/", {"q": names[1]}).context["found"]
        if part.finder.title == "Receipts"
    ]
    assert [hit.title for hit in part.hits] == [receipts[1].receipt_id]


def test_two_exact_hits_are_both_shown(everything: Client) -> None:
    make_feed("404")
    assert titles(everything, "404") >= {"Feeds", "Status codes"}


@pytest.mark.parametrize("permission", KINDS)
def test_a_user_finds_only_what_he_may_see_and_reads_what_was_left_out(
    client: Client, world: None, permission: str
) -> None:
    client.force_login(user_with(permission))
    for other, text in KINDS.items():
        answer = client.get("/search/", {"q": text})
        shown = answer.content.decode()
        if other == permission:
            assert answer.status_code == 302 or answer.context["found"], text
        else:
            assert {part.finder.title for part in answer.context["found"]} <= {"Status codes"}, text
            assert "not searched: you have no right to see them" in shown


def test_a_visitor_searches_codes_only_and_learns_nothing_of_feeds(client: Client, world: None) -> None:
    for text in ("PAYROLL-PROD-EVENTS", "NO-SUCH-FEED", DN, "run-00001"):
        answer = client.get("/search/", {"q": text})
        assert answer.status_code == 302
        assert answer["Location"].startswith("/codes/?q=")


def test_a_visitor_is_answered_the_same_for_a_feed_that_exists_and_one_that_does_not(
    client: Client, world: None, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(0):
        client.get("/search/", {"q": "PAYROLL-PROD-EVENTS"})


def test_answers_are_kept_by_no_cache(everything: Client) -> None:
    assert "no-store" in everything.get("/search/", {"q": "gdpr"})["Cache-Control"]


@pytest.mark.parametrize("text", ["", "\x00", "%", "_", "\u202e", "'", "x" * 1000, "CN=", "/", "\\"])
def test_any_text_is_answered(everything: Client, text: str) -> None:
    assert everything.get("/search/", {"q": text}).status_code in {200, 302}


def test_a_text_that_is_too_long_is_refused(everything: Client) -> None:
    assert everything.get("/search/", {"q": "x" * 1001}).status_code == 400


def test_only_get_is_answered(everything: Client) -> None:
    assert everything.post("/search/").status_code == 405


@pytest.mark.skipif("connection.vendor != 'sqlite'")
def test_receipts_of_a_sender_are_found_through_an_index() -> None:
    questions = [*finder._receipts_of(DN)[:-1], *finder._receipts_of(f"CN={'x' * 300}")[:-1]]
    assert len(questions) >= 3
    for rows in questions:
        plan = rows.order_by("-pk")[: search.MOST_SHOWN].explain()
        assert "USING INDEX" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
    assert connection.vendor == "sqlite"


def test_every_finder_is_registered_once_in_the_order_of_the_page() -> None:
    titles = [kind.title for kind in sorted(search.FINDERS, key=lambda kind: kind.place)]
    assert titles == [
        "Feeds",
        "Receipts",
        "Refused deliveries",
        "Certificate rules",
        "Audit records",
        "Status codes",
    ]
