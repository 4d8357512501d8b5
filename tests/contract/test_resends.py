"""A delivery that is sent again is stored again and marked, wherever people and programs look (R11)."""

import gzip
import json
import random

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from feeds.models import Receipt
from portal.models import ApiToken
from tests.factories import make_feed
from tests.live import Live, request

pytestmark = pytest.mark.both_databases

RESENDS = 100


@pytest.fixture(scope="module", autouse=True)
def feeds(live: Live) -> None:
    for name in ("OPEN-FEED", "OTHER-FEED"):
        make_feed(name)


def deliver(live: Live, number: int, *, again: bool) -> str:
    """Three kinds in turn: the same bytes, the same packed, the same GUID with other bytes."""
    kind = number % 3
    content = random.Random(number).randbytes(50 + number)
    headers = {"Feed": "OPEN-FEED"}
    if kind == 1:
        headers["Compression"] = "GZIP"
        content = gzip.compress(content, mtime=0)
    if kind == 2:
        headers["GUID"] = f"guid-{number}"
        content += b"again" if again else b"first"
    answer = live.send("/datafeed", headers, content)
    assert answer.outcome == (200, 0)
    return answer.text.strip()


def test_r11_100_resends_are_all_stored_and_marked_in_the_api_and_the_admin(live: Live) -> None:
    first = {number: deliver(live, number, again=False) for number in range(RESENDS)}
    again = {number: deliver(live, number, again=True) for number in range(RESENDS)}
    # The same content for another feed is not the same delivery.
    other = live.send("/datafeed", {"Feed": "OTHER-FEED"}, random.Random(0).randbytes(50)).text.strip()
    rows = {receipt.receipt_id: receipt for receipt in live.receipts()}
    assert len(rows) == 2 * RESENDS + 1, "nothing is dropped for it"
    assert all((live.store / row.path).stat().st_size == row.bytes for row in rows.values())
    for number in range(RESENDS):
        assert rows[first[number]].duplicate_of == "", number
        assert rows[again[number]].duplicate_of == first[number], number
    assert rows[other].duplicate_of == ""
    told = marked_by_the_api(live)
    assert told == {again[number]: first[number] for number in range(RESENDS)}
    shown_by_the_admin(rows[again[0]], first[0])


def marked_by_the_api(live: Live) -> dict[str, str]:
    key = ApiToken.objects.issue(User.objects.create_superuser("reader"), scopes=["read"])[1]
    data = request(
        "/api/v1/receipts/?duplicate=true&limit=1000&fields=id,duplicate_of",
        {"Authorization": f"Bearer {key}"},
        method="GET",
    )
    answer = live.exchange(data.replace(b"somewhere.example.org", b"localhost"))
    return {one["id"]: one["duplicate_of"] for one in json.loads(answer.body)["results"]}


def shown_by_the_admin(receipt: Receipt, earlier: str) -> None:
    client = Client()
    client.force_login(User.objects.get(username="reader"))
    listed = reverse("admin:feeds_receipt_changelist")
    for wanted, number in (("yes", RESENDS), ("no", RESENDS + 1)):
        page = client.get(listed, {"duplicate": wanted})
        assert page.context["cl"].result_count == number
    shown = client.get(reverse("admin:feeds_receipt_change", args=[receipt.pk])).content.decode()
    link = reverse("admin:feeds_receipt_change", args=[Receipt.objects.get(receipt_id=earlier).pk])
    assert f'<a href="{link}">{earlier}</a>' in shown
