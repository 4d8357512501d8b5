"""Sender tokens in the admin: rules, remedies, test of a request, receipts and refusals, each by its name."""

from dataclasses import replace
from typing import Any

import pytest
from django.urls import reverse

from feeds.models import CertificateRule
from tests.factories import make_feed, make_receipt, make_rule
from tests.feeds.admin.admin_client import feed_form, one_rule, signed_in
from tests.feeds.admin.test_remedies import links, refuse, shown

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def _tokens_are_taken(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, sender_tokens=True)


def test_a_rule_about_a_token_is_saved_and_an_impossible_name_refused() -> None:
    client = signed_in(superuser=True)
    address = reverse("admin:feeds_feed_add")
    rows = {**one_rule(), "certificate_rules-0-subject_dn": "token:pay roll"}
    page = client.post(address, {**feed_form(certificate_policy="restricted"), **rows})
    assert "No sender token is called so" in page.content.decode()
    rows |= {"certificate_rules-0-subject_dn": "token:payroll"}
    assert client.post(address, {**feed_form(certificate_policy="restricted"), **rows}).status_code == 302
    rule = CertificateRule.objects.get()
    assert rule.subject_dn == "token:payroll"
    assert rule.feed is not None
    page = client.get(rule.feed.get_absolute_url())
    assert "cannot be read and matches nothing" not in page.content.decode()


def test_a_token_that_no_rule_allows_is_allowed_by_a_link() -> None:
    feed = make_feed("PAYROLL-PROD", allow=["CN=other"])
    refuse(dn="", sender_token="payroll")
    client = signed_in(superuser=True)
    address = links(shown(client))["Allow this token…"]
    assert "token:payroll</textarea>" in client.get(address).content.decode()
    make_rule(feed, "token:payroll", action="deny")
    page = shown(client)
    assert "The deny rule token:payroll matches." in page
    assert "Allow this token…" not in page
    CertificateRule.objects.filter(action="deny").update(action="allow")
    assert "Today’s rules accept it." in shown(client)


def test_a_sender_that_shows_neither_is_said_so() -> None:
    make_feed("PAYROLL-PROD", certificate_policy="required")
    refuse(stroom=302, dn="")
    assert "Neither a certificate nor a token was presented." in shown(signed_in(superuser=True))


def test_a_request_is_tested_with_a_token() -> None:
    make_feed("PAYROLL-PROD", allow=["token:payroll"])
    client = signed_in(superuser=True)
    address = reverse("admin:feeds_feed_test")
    asked = {"feed": "PAYROLL-PROD", "headers": "", "presented": "none", "certificate": "", "expires": ""}
    for token, code in (({}, 302), ({"token": "payroll"}, 0), ({"token": "x"}, 310)):
        page = client.post(address, {**asked, **token})
        assert page.context["outcome"].run.decision.status.code == code
    failed = {**asked, "token": "payroll", "token_fails": "on"}
    page = client.post(address, failed)
    assert page.context["outcome"].run.decision.status.code == 311
    link = page.context["form"].link()
    assert client.get(link).context["outcome"].run.decision.status.code == 311
    sample = refuse(dn="", sender_token="payroll")
    again = client.get(address, {"sample": sample.pk})
    assert again.context["outcome"].run.decision.status.code == 0


def test_without_the_setting_the_test_has_no_token(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, sender_tokens=False)
    page = signed_in(superuser=True).get(reverse("admin:feeds_feed_test")).content.decode()
    assert "Sender token" not in page


def test_receipts_and_refusals_are_found_by_the_name_of_a_token() -> None:
    receipt = make_receipt("PAYROLL-PROD", sender_token="payroll")
    make_receipt("PAYROLL-PROD", content=b"other")
    sample = refuse(dn="", sender_token="payroll", receipt_id="r9")
    client = signed_in(superuser=True)
    found = client.get(reverse("admin:feeds_receipt_changelist"), {"q": "payroll"}).context["cl"].result_list
    assert [row.receipt_id for row in found] == [receipt.receipt_id]
    page = client.get(reverse("admin:feeds_receipt_change", args=[receipt.pk])).content.decode()
    assert "receipts of this token" in page
    found = client.get(reverse("admin:feeds_refusalsample_changelist"), {"q": "payroll"}).context["cl"].result_list
    assert [row.pk for row in found] == [sample.pk]
    for text in ("token:payroll", "payroll"):
        answer = client.get("/search/", {"q": text}, follow=True).content.decode()
        assert receipt.receipt_id in answer
        assert "r9" in answer
