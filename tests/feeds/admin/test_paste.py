"""The paste box of the feed page, and certificates pasted straight into a rule."""

import pytest
from django.urls import reverse

from feeds.models import CertificateRule, Feed
from tests.feeds.admin.admin_client import DN, feed_form, one_rule, signed_in
from tests.feeds.rules.test_pasted import COUNTRY_TO_NAME, make_pem

pytestmark = pytest.mark.django_db


def pasted(text: str, **changes: str) -> dict[str, str]:
    return feed_form(_read_certificate="1", paste_certificate=text, paste_action="deny", **changes)


def change_url(feed: Feed) -> str:
    return reverse("admin:feeds_feed_change", args=[feed.pk])


def test_a_pasted_certificate_becomes_a_row_and_nothing_is_saved() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    page = client.post(change_url(feed), pasted(make_pem(*COUNTRY_TO_NAME), owner="edited, not saved"))
    text = page.content.decode()
    assert "Read and added above as a new row" in text
    assert "2027-01-01 00:00:00" in text
    assert "edited, not saved" in text
    assert 'name="certificate_rules-0-subject_dn"' in text
    assert '<option value="deny" selected>' in text
    assert "Please correct the error" not in text
    feed.refresh_from_db()
    assert feed.owner == ""
    assert not CertificateRule.objects.exists()


def test_rows_that_are_not_saved_yet_survive_the_reading() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    text = client.post(change_url(feed), pasted("CN=second", **one_rule())).content.decode()
    assert DN in text
    assert 'name="certificate_rules-1-subject_dn"' in text


def test_what_cannot_be_read_says_why_and_keeps_the_text() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    text = signed_in(superuser=True).post(change_url(feed), pasted("hello <world>")).content.decode()
    assert "neither a PEM certificate nor a DN" in text
    assert "hello &lt;world&gt;" in text


def test_the_page_says_at_its_top_what_became_of_the_pasted_text() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    told = {
        text: client.post(change_url(feed), pasted(text, **one_rule()))
        .content.decode()
        .partition('id="feed_form"')[0]
        for text in ("CN=second", "hello <world>")
    }
    assert 'href="#certificate_rules-1"' in told["CN=second"]
    assert "Save to keep it" in told["CN=second"]
    assert "neither a PEM certificate nor a DN" in told["hello <world>"]
    assert "<world>" not in told["hello <world>"]
    fresh = client.get(change_url(feed)).content.decode()
    assert 'formaction="#certificate_rules-0"' in fresh
    assert "messagelist" not in fresh


def test_more_rows_than_a_feed_may_have_are_not_added() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    many = pasted("CN=second") | {"certificate_rules-TOTAL_FORMS": "1000"}
    text = signed_in(superuser=True).post(change_url(feed), many).content.decode()
    assert "at most 1000 certificate rules" in text
    assert "Read and added" not in text


def test_a_feed_editor_has_no_paste_box_and_cannot_use_its_address() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in("view_feed", "change_feed")
    assert "paste_certificate" not in client.get(change_url(feed)).content.decode()
    client.post(change_url(feed), pasted("CN=second", **one_rule()))
    assert not CertificateRule.objects.exists()


def test_a_pem_pasted_into_the_rule_itself_stands_for_its_subject() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    posted = feed_form(**one_rule(subject_dn=make_pem(*COUNTRY_TO_NAME)))
    assert signed_in(superuser=True).post(change_url(feed), posted).status_code == 302
    assert feed.certificate_rules.get().subject_dn == r"CN=client-a,O=Acme\, Ltd,C=GB"


def test_a_dn_in_another_form_shows_how_it_is_understood() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    CertificateRule.objects.create(feed=feed, subject_dn="/C=GB/O=Example/CN=a")
    text = signed_in(superuser=True).get(change_url(feed)).content.decode()
    assert "CN=a,O=Example,C=GB" in text


def test_a_name_in_the_order_of_openssl_is_doubted_aloud() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    page = client.post(change_url(feed), pasted("subject=C = GB, CN = client-a")).content.decode()
    assert "Is this the right way round?" in page
    assert "CN=client-a,C=GB" in page
    assert "right way round" not in client.post(change_url(feed), pasted("CN=client-a,C=GB")).content.decode()
