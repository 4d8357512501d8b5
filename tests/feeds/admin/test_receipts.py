"""Receipts in the admin: everything links on, and data is shown, downloaded and audited by permission."""

import gzip
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from feeds.models import Feed, Receipt, ReceiptFeed
from portal.models import AuditRecord
from tests.factories import DN, make_receipt
from tests.feeds.admin.admin_client import signed_in

pytestmark = [pytest.mark.django_db]

VIEW = "view_receipt"


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> Path:
    settings.STORE_DIR = tmp_path / "store"
    return settings.STORE_DIR


def stored(store: Path, data: bytes, **fields: Any) -> Receipt:
    receipt = make_receipt(content=data, **fields)
    path = store / receipt.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return receipt


def page(client: Client, receipt: Receipt, query: str = "") -> str:
    response = client.get(f"/admin/feeds/receipt/{receipt.pk}/data/{query}")
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return response.content.decode()


def test_s31_data_needs_its_own_permission(store: Path) -> None:
    receipt = stored(store, b"secret\n")
    viewer = signed_in(VIEW)
    detail = viewer.get(f"/admin/feeds/receipt/{receipt.pk}/change/").content.decode()
    assert "Show data" not in detail
    assert "Download" not in detail
    assert viewer.get(f"/admin/feeds/receipt/{receipt.pk}/data/").status_code == 403
    alone = signed_in("download_receipt", username="without-view")
    assert alone.get(f"/admin/feeds/receipt/{receipt.pk}/data/").status_code == 403
    assert not AuditRecord.objects.filter(action="previewed").exists()


def test_the_page_offers_data_and_download_that_work(store: Path) -> None:
    receipt = stored(store, b"some data\n")
    client = signed_in(VIEW, "download_receipt")
    detail = client.get(f"/admin/feeds/receipt/{receipt.pk}/change/").content.decode()
    assert f"/admin/feeds/receipt/{receipt.pk}/data/" in detail
    link = f"/api/v1/receipts/{receipt.receipt_id}/content"
    assert link in detail
    assert b"".join(client.get(link).streaming_content) == b"some data\n"  # type: ignore[attr-defined]


def test_s31_each_view_of_data_is_audited(store: Path) -> None:
    receipt = stored(store, b"some data\n")
    page(signed_in(VIEW, "download_receipt"), receipt)
    entry = AuditRecord.objects.get(action="previewed")
    assert (entry.kind, entry.key, entry.actor) == ("receipt", receipt.receipt_id, "someone")


def test_s10_data_is_shown_escaped_with_invisible_characters_written_out(store: Path) -> None:
    data = "<script>alert(1)</script>\n\tnext \u202e line\n".encode()
    receipt = stored(store, data)
    html = page(signed_in(VIEW, "download_receipt"), receipt)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\n\tnext ⟨U+202E⟩ line\n" in html
    assert f"All {len(data)} bytes" in html


def test_text_and_hexadecimal_can_be_chosen_and_binary_data_is_hexadecimal(store: Path) -> None:
    client = signed_in(VIEW, "download_receipt")
    text = stored(store, b"some data\n")
    assert "73 6f 6d 65 20 64 61 74  61 0a" in page(client, text, "?form=hex")
    binary = page(client, stored(store, b"\x00\x01\x02"), "?form=text")
    assert "00 01 02" in binary
    assert "Show as text" not in binary


def test_gzip_is_shown_unpacked_and_a_break_is_named(store: Path) -> None:
    client = signed_in(VIEW, "download_receipt")
    packed = gzip.compress(b"unpacked line\n" * 100)
    assert "unpacked line" in page(client, stored(store, packed, compression="GZIP"))
    assert "The data breaks off" in page(client, stored(store, packed[:-12], compression="GZIP"))


def test_the_members_of_a_zip_are_listed_and_opened(store: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("001.meta", "Feed:PAYROLL-PROD-EVENTS\n")
        target.writestr("001.dat", "first item\n")
    receipt = stored(store, buffer.getvalue(), compression="ZIP")
    client = signed_in(VIEW, "download_receipt")
    listing = page(client, receipt)
    assert re.findall(r'href="(\?member=\d)">([^<]+)<', listing) == [
        ("?member=0", "001.meta"),
        ("?member=1", "001.dat"),
    ]
    assert "first item" in page(client, receipt, "?member=1")
    assert AuditRecord.objects.filter(action="previewed", new__contains="001.dat").count() == 1
    for wrong in ("2", "-1", "x", ""):
        assert client.get(f"/admin/feeds/receipt/{receipt.pk}/data/?member={wrong}").status_code == 404


def test_an_archive_that_cannot_be_read_says_so(store: Path) -> None:
    receipt = stored(store, b"not an archive", compression="ZIP")
    assert "cannot be read as ZIP" in page(signed_in(VIEW, "download_receipt"), receipt)


def test_a_missing_file_is_404_and_not_audited(store: Path) -> None:
    receipt = make_receipt()
    client = signed_in(VIEW, "download_receipt")
    assert client.get(f"/admin/feeds/receipt/{receipt.pk}/data/").status_code == 404
    assert not AuditRecord.objects.filter(action="previewed").exists()


def test_everything_on_the_page_of_a_receipt_links_on() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD-EVENTS")
    first = make_receipt(sender_dn=DN, request_id="req-1", guid="g-1")
    ReceiptFeed.objects.create(receipt=first, feed="GONE-FEED", dropped=True)
    repeat = make_receipt(duplicate_of=first.receipt_id, archives=[{"name": "a-1", "feed": feed.name}])
    client = signed_in(VIEW)
    html = client.get(f"/admin/feeds/receipt/{first.pk}/change/").content.decode()
    for link in [
        f"/admin/feeds/feed/{feed.pk}/",
        "/admin/feeds/receipt/?q=GONE-FEED",
        "/admin/feeds/receipt/?q=CN%3Dclient-a%2COU%3DTest%2CO%3DExample%2CC%3DGB",
        "/admin/feeds/receipt/?q=192.0.2.7",
        "/admin/feeds/refusalsample/?q=req-1",
        "/admin/feeds/receipt/?q=g-1",
        f"/admin/feeds/receipt/{repeat.pk}/change/",
        "/codes/stroom/0/",
    ]:
        assert link in html, link
    assert "(this part was dropped)" in html
    other = client.get(f"/admin/feeds/receipt/{repeat.pk}/change/").content.decode()
    assert f'<a href="/admin/feeds/receipt/{first.pk}/change/">' in other
    assert "name a-1 · feed PAYROLL-PROD-EVENTS" in other


def test_receipts_are_found_by_sender() -> None:
    mine = make_receipt(sender_dn=DN, remote_address="198.51.100.9")
    other = make_receipt()
    client = signed_in(VIEW)
    for query in ("198.51.100.9", "client-a"):
        html = client.get("/admin/feeds/receipt/", {"q": query}).content.decode()
        assert mine.receipt_id in html
        assert other.receipt_id not in html
