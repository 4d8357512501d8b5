"""Editing many selected feeds: the actions of the list and their pages."""

import re
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import reverse

from feeds.models import CertificateRule, Feed, Proposal
from tests.factories import make_feed, make_rule
from tests.feeds.admin.admin_client import DN, signed_in

pytestmark = pytest.mark.django_db


def choose(client: Any, action: str, *feeds: Feed) -> str:
    chosen = {"action": action, "_selected_action": [feed.pk for feed in feeds]}
    return client.post(reverse("admin:feeds_feed_changelist"), chosen).content.decode()


def post(client: Any, kind: str, *feeds: Feed, **values: Any) -> Any:
    body = {"feeds": ",".join(str(feed.pk) for feed in feeds), "comment": "why", **values}
    return client.post(reverse("admin:feeds_feed_bulk_edit", args=[kind]), body, follow=True)


def test_a_rule_is_added_to_all_selected_feeds_by_its_pem_or_name() -> None:
    feeds = [make_feed(f"FEED-{number}", certificate_policy="required") for number in range(3)]
    feeds.append(make_feed("OPEN-FEED"))
    client = signed_in(superuser=True)
    page = choose(client, "add_rule", *feeds)
    assert "To <strong>4</strong> feeds" in page
    assert "1 of them has the certificate policy none" in page
    done = post(client, "add-rule", *feeds, action="deny", certificate=f"subject={DN}")
    assert "Changed 4 feeds." in done.content.decode()
    assert CertificateRule.objects.filter(action="deny", subject_dn=DN).count() == 4
    post(client, "add-rule", *feeds, action="allow", certificate="token:night-shift")
    assert CertificateRule.objects.filter(action="allow", subject_dn="token:night-shift").count() == 4
    again = post(client, "add-rule", *feeds, action="deny", certificate=DN).content.decode()
    assert "Changed 0 feeds. 4 had it so already." in again


def test_a_rule_of_some_of_the_feeds_is_removed() -> None:
    feeds = [make_feed("A-FEED", allow=[DN]), make_feed("B-FEED", allow=[DN]), make_feed("C-FEED")]
    client = signed_in(superuser=True)
    page = choose(client, "remove_rule", *feeds)
    assert f"allow {DN} (2 feeds)" in page
    post(client, "remove-rule", *feeds, rule=f"allow {DN}")
    assert not CertificateRule.objects.exists()
    assert "None of these feeds has a rule" in choose(client, "remove_rule", *feeds)


def test_labels_owner_and_classification_change_together() -> None:
    feeds = [make_feed("A-FEED", labels=["old"], classification="X"), make_feed("B-FEED")]
    client = signed_in("change_feed", "view_feed")
    assert "Add labels" in choose(client, "edit_values", *feeds)
    values = {"add_labels": "gdpr, uk", "remove_labels": "old", "owner": "Team A", "emptied": ["classification"]}
    assert "Changed 2 feeds." in post(client, "values", *feeds, **values).content.decode()
    found = Feed.objects.order_by("name").values_list("labels", "owner", "classification")
    assert list(found) == [(["gdpr", "uk"], "Team A", "")] * 2


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("values", {}, "Say what to change."),
        ("add-rule", {"action": "deny", "certificate": "no dn"}, "This cannot be read"),
        ("add-rule", {"action": "deny", "certificate": DN, "feeds": "x"}, "These are not feeds."),
        ("remove-rule", {"rule": "allow CN=other"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_done_is_said_on_the_page(kind: str, values: dict[str, str], told: str) -> None:
    feed = make_feed("A-FEED", allow=[DN])
    page = post(signed_in(superuser=True), kind, feed, **values).content.decode()
    assert told in page
    assert Feed.objects.get().version == 1


def test_s30_only_certificate_officers_edit_rules() -> None:
    feed = make_feed("A-FEED")
    make_rule(feed)
    client = signed_in("change_feed", "view_feed")
    actions = re.findall(
        r'<option value="([a-z_]+)"', client.get(reverse("admin:feeds_feed_changelist")).content.decode()
    )
    assert "edit_values" in actions
    assert not {"add_rule", "remove_rule"} & set(actions)
    for kind in ("add-rule", "remove-rule", "nothing"):
        assert post(client, kind, feed, action="deny", certificate=DN).status_code == 403
    assert post(signed_in("view_feed", username="reader"), "values", feed, owner="x").status_code == 403


def test_s30_an_edit_of_rules_waits_as_a_whole_for_a_second_person() -> None:
    feeds = [make_feed("A-FEED"), make_feed("B-FEED")]
    client = signed_in(superuser=True)
    with override_settings(ENVIRONMENT=replace(settings.ENVIRONMENT, second_approval=True)):
        assert "waits for another certificate officer" in choose(client, "add_rule", *feeds)
        page = post(client, "add-rule", *feeds, action="allow", certificate=DN)
        assert "Nothing has been changed yet" in page.content.decode()
    assert not CertificateRule.objects.exists()
    assert Proposal.objects.get().feed_names == ["A-FEED", "B-FEED"]
