"""Certificates in the admin: where one may send and why, and denying it for every feed on all surfaces."""

import io
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from feeds.changes.denials import deny_everywhere
from feeds.models import CertificateRule, Feed
from feeds.receipt.dry_run import DescribedCertificate, dry_run
from portal.models import AuditRecord
from tests.calls import VIEWER, caller
from tests.factories import DN, make_feed, make_receipt, make_rule
from tests.feeds.admin.admin_client import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
PAGE = "/admin/feeds/certificaterule/certificate/"
SEE = ("view_feed", "view_certificaterule", "view_receipt")
MANAGE = (*SEE, "change_certificaterule")


def section(html: str, heading: str) -> str:
    return html.partition(heading)[2].partition("<h2")[0]


def test_the_page_says_where_a_certificate_may_send_and_why() -> None:
    make_feed("OPEN-FEED")
    make_rule(make_feed("ALLOWED-FEED", certificate_policy="restricted"), DN)
    make_rule(make_feed("DENIED-FEED", certificate_policy="required"), DN, action="deny")
    make_feed("OTHER-FEED", certificate_policy="restricted")
    receipt = make_receipt("ALLOWED-FEED", sender_dn=DN)
    html = signed_in(*SEE).get(PAGE, {"certificate": f"subject= {DN}"}).content.decode()
    may, refused = section(html, "May send to 2 feeds"), section(html, "Is refused by 2 feeds")
    assert "OPEN-FEED" in may
    assert "ALLOWED-FEED" in may
    assert f"The allow rule {DN} matches" in may
    assert "DENIED-FEED" in refused
    assert "No unexpired allow rule matches" in refused
    assert receipt.receipt_id in html
    assert "DENIED-FEED" in section(html, "Rules that name it")


@pytest.mark.parametrize("form", ["/C=GB/O=Example/OU=Test/CN=client-a", "CN=client-a, OU=Test, O=Example, C=GB"])
def test_any_form_of_the_name_is_read(form: str) -> None:
    make_rule(make_feed("ALLOWED-FEED", certificate_policy="restricted"), DN)
    html = signed_in(*SEE).get(PAGE, {"certificate": form}).content.decode()
    assert "ALLOWED-FEED" in section(html, "May send to")


def test_what_cannot_be_read_is_said_and_kept() -> None:
    html = signed_in(*SEE).get(PAGE, {"certificate": "no certificate at all"}).content.decode()
    assert "This cannot be read" in html
    assert "no certificate at all" in html


def test_s30_denying_holds_for_the_next_request_on_every_surface() -> None:
    make_feed("OPEN-FEED")
    officer = signed_in(*MANAGE)
    posted = officer.post(PAGE, {"certificate": DN, "deny": "1", "comment": "stolen"}, follow=True)
    assert "Denied for every feed: stolen" in posted.content.decode()
    outcome = dry_run({"Feed": "OPEN-FEED"}, DescribedCertificate(DN))
    assert (outcome.answer.http, outcome.decision.status.code) == (403, 310)
    assert Feed.objects.policy_for("OPEN-FEED").rules[0].everywhere
    entry = AuditRecord.objects.filter(kind="certificate rule").order_by("-number")[0]
    assert (entry.action, entry.comment) == ("created", "stolen")
    assert "for every feed" in entry.name
    officer.post(PAGE, {"certificate": DN, "withdraw": "1"})
    assert dry_run({"Feed": "OPEN-FEED"}, DescribedCertificate(DN)).stores


def test_s30_only_certificate_officers_deny() -> None:
    viewer = signed_in(*SEE)
    assert "Deny for every feed" not in viewer.get(PAGE, {"certificate": DN}).content.decode()
    assert viewer.post(PAGE, {"certificate": DN, "deny": "1"}).status_code == 403
    assert not CertificateRule.objects.exists()


def test_s30_with_second_approval_a_denial_holds_at_once_and_only_an_operator_withdraws_it(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    officer = signed_in(*MANAGE)
    officer.post(PAGE, {"certificate": DN, "deny": "1"})
    assert CertificateRule.objects.filter(feed=None).count() == 1
    answer = officer.post(PAGE, {"certificate": DN, "withdraw": "1"}, follow=True).content.decode()
    assert "deny_certificate --withdraw" in answer
    assert CertificateRule.objects.filter(feed=None).count() == 1
    call_command("deny_certificate", DN, "--withdraw", stdout=io.StringIO())
    assert not CertificateRule.objects.exists()


def test_the_command_denies_lists_and_withdraws() -> None:
    output = io.StringIO()
    call_command("deny_certificate", DN, "--comment", "stolen", stdout=output)
    call_command("deny_certificate", DN, stdout=output)
    call_command("deny_certificate", stdout=output)
    call_command("deny_certificate", DN, "--withdraw", stdout=output)
    assert output.getvalue().splitlines() == [
        f"{DN} is denied for every feed.",
        f"{DN} is denied for every feed already.",
        f"{DN}  stolen",
        f"{DN} is no longer denied for every feed.",
    ]
    for wrong in ("nonsense", "CN=never-denied"):
        with pytest.raises(CommandError):
            call_command("deny_certificate", wrong, "--withdraw")


def test_an_allow_rule_needs_a_feed() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        CertificateRule.objects.create(feed=None, action="allow", subject_dn=DN)
    with pytest.raises(ValidationError):
        deny_everywhere("nonsense")


def test_a_feeds_own_rules_do_not_show_those_for_every_feed() -> None:
    make_feed("FEED-A")
    deny_everywhere(DN)
    assert caller(*VIEWER).get("/api/v1/feeds/FEED-A/").json()["certificate_rules"] == []
    listed = caller(*VIEWER).get("/api/v1/changes/?kind=certificate_rule").json()["results"]
    assert listed[0]["feed"] == ""


@pytest.mark.parametrize("count", [1, 40])
def test_the_page_takes_the_same_queries_however_many_feeds(count: int, django_assert_num_queries: Any) -> None:
    for number in range(count):
        make_rule(make_feed(f"FEED-{number}", certificate_policy="restricted"), DN)
    client = signed_in(*SEE)
    client.get(PAGE, {"certificate": DN})
    with django_assert_num_queries(13):
        assert client.get(PAGE, {"certificate": DN}).status_code == 200
