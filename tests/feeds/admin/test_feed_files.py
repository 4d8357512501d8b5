"""Import and export in the admin."""

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from feeds.models import CertificateRule, Feed, PendingImport
from tests.feeds.admin.admin_client import DN, signed_in

pytestmark = pytest.mark.django_db

IMPORT = "/admin/feeds/feed/import/"


def upload(client: Any, text: str, name: str = "feeds.csv") -> Any:
    return client.post(IMPORT, {"file": SimpleUploadedFile(name, text.encode())}, follow=True)


def confirm(client: Any, page: Any, comment: str = "TICKET-7") -> Any:
    digest = page.context["digest"]
    return client.post(page.request["PATH_INFO"], {"digest": digest, "change_comment": comment}, follow=True)


def test_nothing_is_written_before_it_is_confirmed() -> None:
    feed = Feed.objects.create(name="OLD-FEED", owner="before")
    client = signed_in(superuser=True)
    page = upload(client, "name,owner\nOLD-FEED,after\nNEW-FEED,<b>x</b>\n")
    text = page.content.decode()
    assert "<del>before</del>" in text
    assert "<ins>after</ins>" in text
    assert "&lt;b&gt;x" in text
    feed.refresh_from_db()
    assert feed.owner == "before"
    assert Feed.objects.count() == 1
    done = confirm(client, page)
    assert "1 feed created, 1 changed" in done.content.decode()
    feed.refresh_from_db()
    assert feed.owner == "after"
    assert feed.history.first().history_change_reason == "TICKET-7"
    assert not PendingImport.objects.exists()


def test_a_second_confirmation_is_told_what_the_first_has_done_and_changes_nothing() -> None:
    client = signed_in(superuser=True)
    page = upload(client, "name,owner\nNEW-FEED,a\n", name="spring.csv")
    confirm(client, page)
    feed = Feed.objects.get()
    feed.owner = "b"
    feed.save()
    for again in (confirm(client, page), client.get(page.request["PATH_INFO"], follow=True)):
        assert again.status_code == 200
        assert "The import of spring.csv was confirmed before: 1 feed created, 0 changed." in again.text
        assert "Nothing was done a second time." in again.text
    feed.refresh_from_db()
    assert (feed.owner, feed.history.count()) == ("b", 2)


def test_a_row_with_a_fault_stops_the_import_and_says_why() -> None:
    client = signed_in(superuser=True)
    page = upload(client, "name,status\nGOOD-FEED,Drop\nbad name,Drop\n")
    assert "A feed name matches" in page.content.decode()
    assert "Import these changes" not in page.content.decode()
    confirm(client, page)
    assert not Feed.objects.exists()


def test_an_unknown_column_is_refused_by_its_name() -> None:
    page = upload(signed_in(superuser=True), "name,statsu\nA-FEED,Drop\n").content.decode()
    assert "unknown column" in page
    assert "statsu" in page
    assert not PendingImport.objects.exists()


def test_a_change_in_between_is_shown_again_instead_of_being_overwritten() -> None:
    feed = Feed.objects.create(name="OLD-FEED", owner="before")
    client = signed_in(superuser=True)
    page = upload(client, "name,owner\nOLD-FEED,after\n")
    feed.owner = "meanwhile"
    feed.save()
    again = confirm(client, page)
    assert "changed since this was shown" in again.content.decode()
    assert "<del>meanwhile</del>" in again.content.decode()
    confirm(client, again)
    feed.refresh_from_db()
    assert feed.owner == "after"


def test_a_feed_editor_is_told_which_rows_want_a_certificate_officer() -> None:
    client = signed_in("view_feed", "add_feed", "change_feed")
    page = upload(client, "name,certificate_policy\nA-FEED,required\n").content.decode()
    assert "a certificate officer is needed" in page


def test_an_upload_is_seen_by_its_uploader_alone() -> None:
    owner = signed_in(superuser=True)
    page = upload(owner, "name\nA-FEED\n")
    other = signed_in(superuser=True, username="other")
    assert other.get(page.request["PATH_INFO"]).status_code == 404
    confirm(owner, page)
    assert other.get(page.request["PATH_INFO"]).status_code == 404


def test_importing_needs_the_right_to_change_or_add_feeds() -> None:
    assert signed_in("view_feed").get(IMPORT).status_code == 403


def test_the_export_has_what_the_filters_choose_and_can_be_imported_as_it_is() -> None:
    feed = Feed.objects.create(name="DROPPING", status="Drop", owner="=1+1")
    CertificateRule.objects.create(feed=feed, subject_dn=DN)
    Feed.objects.create(name="RECEIVING")
    client = signed_in(superuser=True)
    answer = client.get("/admin/feeds/feed/export/csv/", {"status__exact": "Drop"})
    text = answer.content.decode()
    assert "attachment" in answer["Content-Disposition"]
    assert "RECEIVING" not in text
    assert "'=1+1" in text
    page = upload(client, text)
    assert page.context["counts"] == {"fault": 0, "change": 0, "create": 0, "same": 1}


def test_a_stroom_export_goes_out_and_comes_in() -> None:
    Feed.objects.create(name="A-FEED", status="Reject")
    client = signed_in(superuser=True)
    data = client.get("/admin/feeds/feed/export/zip/").content
    Feed.objects.all().delete()
    file = io.BytesIO(data)
    file.name = "stroom.zip"
    page = client.post(IMPORT, {"file": file}, follow=True)
    assert "Stroom export (ZIP)" in page.content.decode()
    confirm(client, page)
    assert Feed.objects.get().status == "Reject"


def test_exporting_needs_the_right_to_see_feeds_and_a_known_kind() -> None:
    assert signed_in("view_receipt").get("/admin/feeds/feed/export/csv/").status_code == 403
    assert signed_in("view_feed", username="viewer").get("/admin/feeds/feed/export/exe/").status_code == 404


def test_a_choice_that_is_not_understood_exports_nothing() -> None:
    Feed.objects.create(name="OLD-FEED")
    answer = signed_in("view_feed").get("/admin/feeds/feed/export/csv/?bogus=1")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/feeds/feed/?e=1")
