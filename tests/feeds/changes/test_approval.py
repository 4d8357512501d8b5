"""A second person for what guards feeds: no way of writing goes round it, and approving does what was meant."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from simple_history.models import HistoricalRecords

from feeds.changes import approval
from feeds.changes import bulk as bulk_changes
from feeds.changes.apply import FeedChange
from feeds.changes.approval import CannotDecide, MayNotDecide, approve, decline, withdraw
from feeds.changes.approval_watch import UnwatchedWrite
from feeds.changes.bulk import BulkChange
from feeds.changes.permissions import MANAGE_CERTIFICATES
from feeds.models import CertificateRule, Feed, Proposal
from portal.access.roles import CERTIFICATE_OFFICER, FEED_EDITOR, VIEWER
from portal.audit.record import reported_settings, stored_entries, verify
from portal.models import AuditRecord
from tests.calls import Caller, caller, make_user, problem_of
from tests.factories import DN, make_feed, make_rule
from tests.feeds.admin.admin_client import feed_form, one_rule

pytestmark = pytest.mark.django_db

OTHER_DN = "CN=intruder,O=Elsewhere"
ALLOW = {"action": "allow", "subject_dn": OTHER_DN}


@pytest.fixture
def on(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)


@dataclass(frozen=True)
class Person:
    """Somebody with a browser and with a token."""

    user: User
    browser: Client
    api: Caller


def person(username: str, *roles: str, superuser: bool = False) -> Person:
    user = make_user(username=username, superuser=superuser, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    browser = Client()
    browser.force_login(user)
    return Person(user, browser, Caller(user))


def officer(username: str = "alice") -> Person:
    return person(username, CERTIFICATE_OFFICER, FEED_EDITOR)


def guarded_feed(name: str = "PAYROLL-PROD") -> Feed:
    return make_feed(name, allow=[DN])


def state() -> list[Any]:
    """Everything that there is of feeds, but keys, versions and times."""
    rules = ("action", "subject_dn", "expires", "comment")
    return [
        (
            *(getattr(feed, name) for name in ("name", "status", "owner", "certificate_policy", "description")),
            sorted(map(str, feed.certificate_rules.values_list(*rules))),
        )
        for feed in Feed.objects.order_by("name")
    ]


def rule_row(rule: CertificateRule, **changes: str) -> dict[str, str]:
    """The row of a present rule as the browser posts it."""
    form = one_rule(
        subject_dn=rule.subject_dn, id=str(rule.pk), feed=str(rule.feed_id), comment=rule.comment, **changes
    )
    return {**form, "certificate_rules-INITIAL_FORMS": "1"}


def edit(who: Person, feed: Feed, **changes: str) -> Any:
    posted = feed_form(**{"certificate_policy": feed.certificate_policy, "change_comment": "why", **changes})
    return who.browser.post(reverse("admin:feeds_feed_change", args=[feed.pk]), posted)


def upload(who: Person, text: str) -> Any:
    """Through both pages of the import."""
    file = SimpleUploadedFile("feeds.csv", text.encode())
    page = who.browser.post(reverse("admin:feeds_feed_import"), {"file": file})
    digest = re.search(r'name="digest" value="(\w+)"', who.browser.get(page["Location"]).content.decode())
    assert digest is not None
    return who.browser.post(page["Location"], {"digest": digest[1], "change_comment": "why"})


def csv_call(who: Person, text: str) -> Any:
    headers = {**who.api.headers, "Content-Type": "text/csv"}
    return Client().generic(
        "POST", "/api/v1/feeds/import/?dry_run=false&comment=why", text, content_type="text/csv", headers=headers
    )


# --- every way of writing that changes what guards a feed; each begins with a guarded feed and an open one ---


def patch_policy(who: Person) -> Any:
    return who.api.patch("/api/v1/feeds/PAYROLL-PROD/", {"certificate_policy": "none", "owner": "me"})


def patch_rules(who: Person) -> Any:
    return who.api.patch("/api/v1/feeds/PAYROLL-PROD/", {"certificate_rules": [ALLOW], "comment": "why"})


def patch_expiry(who: Person) -> Any:
    rule = {"action": "allow", "subject_dn": DN, "expires": "2031-01-02T03:04:05Z", "comment": "soon"}
    return who.api.patch("/api/v1/feeds/PAYROLL-PROD/", {"certificate_rules": [rule]})


def guard_the_open(who: Person) -> Any:
    return who.api.patch("/api/v1/feeds/OPEN-FEED/", {"certificate_policy": "required", "status": "Drop"})


def put_reset(who: Person) -> Any:
    return who.api.put("/api/v1/feeds/PAYROLL-PROD/", {"owner": "me"})


def put_new(who: Person) -> Any:
    return who.api.put(
        "/api/v1/feeds/NEW-FEED/", {"certificate_policy": "restricted", "certificate_rules": [ALLOW]}
    )


def post_new(who: Person) -> Any:
    return who.api.post("/api/v1/feeds/", {"name": "NEW-FEED", "certificate_rules": [ALLOW], "comment": "why"})


def bulk(who: Person) -> Any:
    changes = [
        {"name": "OPEN-FEED", "status": "Drop", "comment": "first"},
        {"name": "PAYROLL-PROD", "certificate_policy": "required", "comment": "second"},
    ]
    return who.api.patch("/api/v1/feeds/", changes)


def delete(who: Person) -> Any:
    return who.api.delete("/api/v1/feeds/PAYROLL-PROD/?comment=why")


def import_call(who: Person) -> Any:
    return csv_call(who, "name,status,certificate_policy\nOPEN-FEED,Drop,none\nNEW-FEED,Reject,required\n")


def edit_policy(who: Person) -> Any:
    feed = Feed.objects.get(name="OPEN-FEED")
    return edit(who, feed, name="OPEN-FEED", certificate_policy="required", status="Drop")


def edit_add_rule(who: Person) -> Any:
    return edit(who, Feed.objects.get(name="OPEN-FEED"), name="OPEN-FEED", **one_rule(subject_dn=OTHER_DN))


def edit_rule(who: Person) -> Any:
    feed = Feed.objects.get(name="PAYROLL-PROD")
    row = {**rule_row(feed.certificate_rules.get()), "certificate_rules-0-subject_dn": OTHER_DN}
    return edit(who, feed, **row)


def edit_delete_rule(who: Person) -> Any:
    feed = Feed.objects.get(name="PAYROLL-PROD")
    return edit(who, feed, **rule_row(feed.certificate_rules.get(), DELETE="on"))


def edit_rename(who: Person) -> Any:
    feed = Feed.objects.get(name="PAYROLL-PROD")
    return edit(who, feed, **{**rule_row(feed.certificate_rules.get()), "name": "PAYROLL-OLD"})


def add(who: Person) -> Any:
    posted = feed_form(name="NEW-FEED", certificate_policy="restricted", **one_rule())
    return who.browser.post(reverse("admin:feeds_feed_add"), posted)


def save_as_new(who: Person) -> Any:
    feed = Feed.objects.get(name="PAYROLL-PROD")
    row = {**rule_row(feed.certificate_rules.get()), "name": "NEW-FEED", "_saveasnew": "1"}
    return edit(who, feed, **row)


def delete_page(who: Person) -> Any:
    feed = Feed.objects.get(name="PAYROLL-PROD")
    url = reverse("admin:feeds_feed_delete", args=[feed.pk])
    return who.browser.post(url, {"post": "yes", "change_comment": "why"})


def put_back(who: Person) -> Any:
    feed = Feed.objects.get(name="PAYROLL-PROD")
    at = feed.history.last().history_date.isoformat()
    return who.browser.post(
        reverse("admin:feeds_feed_revert", args=[feed.pk]) + f"?at={at.replace('+', '%2B')}",
        {"change_comment": "why"},
    )


def restore_page(who: Person) -> Any:
    gone = Feed.history.filter(name="GONE-FEED").first()
    return who.browser.post(reverse("admin:feeds_feed_restore", args=[gone.id]), {"change_comment": "why"})


def import_page(who: Person) -> Any:
    return upload(who, "name,owner,certificate_policy\nPAYROLL-PROD,me,required\nOPEN-FEED,me,none\n")


WAYS: list[Callable[[Person], Any]] = [
    patch_policy, patch_rules, patch_expiry, guard_the_open, put_reset, put_new, post_new, bulk, delete,
    import_call, edit_policy, edit_add_rule, edit_rule, edit_delete_rule, edit_rename, add, save_as_new,
    delete_page, put_back, restore_page, import_page,
]  # fmt: skip


def make_feeds() -> None:
    """A guarded feed that once was without its rule, an open one, and a guarded one that was deleted."""
    feed = make_feed("PAYROLL-PROD", certificate_policy="restricted")
    make_rule(feed, DN)
    feed.save()
    make_feed("OPEN-FEED")
    guarded_feed("GONE-FEED").delete()


@contextmanager
def taken_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def done_alone(write: Callable[[Person], Any], who: Person) -> list[Any]:
    """What there would be if the same were done without a second person."""
    with taken_back():
        assert write(who).status_code in {200, 201, 204, 302}
        return state()


@pytest.mark.parametrize("write", WAYS, ids=lambda way: way.__name__)
def test_s30_no_way_of_writing_changes_a_guard_before_a_second_person_says_so(
    write: Callable[[Person], Any], settings: Any
) -> None:
    make_feeds()
    alice, bob = officer("alice"), person("bob", CERTIFICATE_OFFICER)
    before, meant = state(), done_alone(write, alice)
    assert meant != before
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    history = Feed.history.count(), CertificateRule.history.count()

    answer = write(alice)
    proposal = Proposal.objects.get()
    expected = {202: f"http://testserver/api/v1/proposals/{proposal.pk}/", 302: proposal.get_absolute_url()}
    assert answer["Location"] == expected[answer.status_code]
    assert state() == before
    assert (Feed.history.count(), CertificateRule.history.count()) == history
    assert (proposal.state, proposal.proposer, proposal.proposed_by) == ("open", "alice", alice.user)

    approve(proposal.pk, bob.user, "seen")
    assert state() == meant
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decider, proposal.decision_comment) == ("approved", "bob", "seen")


@pytest.mark.parametrize("write", [patch_policy, import_call, edit_rename, delete_page])
def test_s30_a_superuser_needs_a_second_person_too(write: Callable[[Person], Any], on: None) -> None:
    make_feeds()
    root, before = person("root", superuser=True), state()
    write(root)
    proposal = Proposal.objects.get()
    with pytest.raises(MayNotDecide):
        approve(proposal.pk, root.user)
    assert state() == before


def test_what_does_not_touch_a_guard_is_in_force_at_once(on: None) -> None:
    make_feeds()
    alice = officer()
    rules = [{"action": "allow", "subject_dn": DN, "expires": None, "comment": ""}]
    same = {"certificate_policy": "restricted", "certificate_rules": rules, "status": "Drop"}
    assert alice.api.put("/api/v1/feeds/PAYROLL-PROD/", same).status_code == 200
    assert alice.api.patch("/api/v1/feeds/PAYROLL-PROD/", {"status": "Reject"}).status_code == 200
    assert alice.api.post("/api/v1/feeds/", {"name": "NEW-FEED"}).status_code == 201
    assert alice.api.patch("/api/v1/feeds/", [{"name": "NEW-FEED", "owner": "me"}]).status_code == 200
    assert csv_call(alice, "name,status\nOPEN-FEED,Drop\nPAYROLL-PROD,Drop\n").status_code == 200
    assert alice.api.delete("/api/v1/feeds/NEW-FEED/").status_code == 204
    edit(alice, Feed.objects.get(name="OPEN-FEED"), name="RENAMED-FEED")
    keys = ",".join(map(str, Feed.objects.values_list("pk", flat=True)))
    alice.browser.post(
        reverse("admin:feeds_feed_set_status"), {"status": "Receive", "feeds": keys, "comment": "why"}
    )
    assert not Proposal.objects.exists()
    assert [(row[0], row[1]) for row in state()] == [("PAYROLL-PROD", "Receive"), ("RENAMED-FEED", "Receive")]


def test_an_open_feed_is_restored_at_once_and_a_guarded_one_waits_for_an_officer(on: None) -> None:
    editor, bob = person("eve", FEED_EDITOR), person("bob", CERTIFICATE_OFFICER)
    make_feed("GONE-FEED").delete()
    restore_page(editor)
    assert Feed.objects.filter(name="GONE-FEED").exists()
    Feed.objects.get(name="GONE-FEED").delete()
    guarded = guarded_feed("GONE-GUARDED")
    key, version = guarded.pk, guarded.version
    guarded.delete()
    editor.browser.post(reverse("admin:feeds_feed_restore", args=[key]), {"change_comment": "why"})
    assert not Feed.objects.exists()
    approve(Proposal.objects.get().pk, bob.user)
    back = Feed.objects.get(pk=key)
    assert (back.name, back.version, back.certificate_rules.get().subject_dn) == ("GONE-GUARDED", version + 1, DN)


def test_with_the_setting_off_nothing_of_it_exists() -> None:
    make_feeds()
    root = person("root", superuser=True)
    assert patch_policy(root).status_code == 200
    assert not Proposal.objects.exists()
    problem_of(root.api.get("/api/v1/proposals/"), 404)
    problem_of(root.api.get("/api/v1/proposals/1/"), 404)
    for action in ("approve", "decline", "withdraw"):
        problem_of(root.api.post(f"/api/v1/proposals/1/{action}/", {}), 404)
    assert root.browser.get(reverse("admin:feeds_proposal_changelist")).status_code == 404
    assert root.browser.get(reverse("admin:feeds_proposal_change", args=[1])).status_code == 404
    for page in (reverse("admin:index"), reverse("admin:feeds_feed_add")):
        assert "second" not in root.browser.get(page).content.decode()


def test_the_setting_is_in_the_record_of_settings(on: None, settings: Any) -> None:
    assert reported_settings(settings.ENVIRONMENT)["second_approval"] == "True"


# --- who decides ---


def proposal_by(who: Person) -> Proposal:
    guarded_feed()
    patch_policy(who)
    return Proposal.objects.get()


def test_who_proposed_it_cannot_approve_or_decline_it_by_any_way(on: None) -> None:
    alice = officer()
    proposal = proposal_by(alice)
    url = reverse("admin:feeds_proposal_change", args=[proposal.pk])
    assert "Approve" not in alice.browser.get(url).content.decode()
    for action in ("approve", "decline"):
        answer = problem_of(alice.api.post(f"/api/v1/proposals/{proposal.pk}/{action}/", {}), 403)
        assert "another certificate officer" in answer["detail"]
        assert alice.browser.post(url, {"decision": action, "change_comment": "x"}).status_code == 403
    proposal.refresh_from_db()
    assert proposal.state == "open"
    assert Feed.objects.get().certificate_policy == "restricted"


@pytest.mark.parametrize("roles", [(), (VIEWER,), (FEED_EDITOR,)])
def test_who_is_no_officer_decides_on_nothing(roles: tuple[str, ...], on: None) -> None:
    proposal = proposal_by(officer())
    who = person("eve", *roles)
    url = reverse("admin:feeds_proposal_change", args=[proposal.pk])
    for action in ("approve", "decline", "withdraw"):
        problem_of(who.api.post(f"/api/v1/proposals/{proposal.pk}/{action}/", {}), 403)
        assert who.browser.post(url, {"decision": action, "change_comment": "x"}).status_code == 403
    assert Proposal.objects.get().state == "open"
    assert Feed.objects.get().certificate_policy == "restricted"


def test_a_token_that_may_only_read_decides_on_nothing(on: None) -> None:
    proposal = proposal_by(officer())
    reader = Caller(person("bob", CERTIFICATE_OFFICER).user, ["read"])
    assert reader.get(f"/api/v1/proposals/{proposal.pk}/").status_code == 200
    problem_of(reader.post(f"/api/v1/proposals/{proposal.pk}/approve/", {}), 403)


def test_only_the_proposer_withdraws(on: None) -> None:
    alice, bob = officer(), officer("bob")
    proposal = proposal_by(alice)
    with pytest.raises(MayNotDecide):
        withdraw(proposal.pk, bob.user)
    answer = alice.api.post(f"/api/v1/proposals/{proposal.pk}/withdraw/", {"comment": "a slip"})
    assert (answer.status_code, answer.json()["state"]) == (200, "withdrawn")
    assert answer.json()["obstacle"] == "It was withdrawn."
    with pytest.raises(CannotDecide, match="withdrawn by alice already"):
        approve(proposal.pk, bob.user)


@pytest.mark.parametrize("write", [patch_policy, delete])
@pytest.mark.parametrize("loss", ["role", "inactive", "account"])
def test_what_a_person_proposed_who_has_lost_their_rights_cannot_be_approved(
    loss: str, write: Callable[[Person], Any], on: None
) -> None:
    alice, bob = officer(), officer("bob")
    guarded_feed()
    write(alice)
    proposal = Proposal.objects.get()
    if loss == "role":
        alice.user.groups.clear()
    elif loss == "inactive":
        User.objects.filter(pk=alice.user.pk).update(is_active=False)
    else:
        alice.user.delete()
    with pytest.raises(
        CannotDecide, match=r"may not make this change any more|account that proposed this no longer exists"
    ):
        approve(proposal.pk, bob.user)
    assert Feed.objects.get().certificate_policy == "restricted"
    decline(proposal.pk, bob.user)


def test_an_account_made_anew_under_the_proposers_name_withdraws_nothing(on: None) -> None:
    alice = officer()
    proposal = proposal_by(alice)
    alice.user.delete()
    again = officer("alice")
    with pytest.raises(MayNotDecide):
        withdraw(proposal.pk, again.user)
    with pytest.raises(CannotDecide, match="account"):
        approve(proposal.pk, again.user)


def test_the_database_itself_refuses_that_one_person_did_both(on: None) -> None:
    proposal = proposal_by(officer())
    with pytest.raises(IntegrityError), transaction.atomic():
        Proposal.objects.update(state="approved", decided_by=proposal.proposed_by)


def test_what_was_decided_is_decided_once(on: None) -> None:
    bob, carol = officer("bob"), officer("carol")
    proposal = proposal_by(officer())
    decline(proposal.pk, bob.user, "no")
    for action in ("approve", "decline"):
        answer = problem_of(carol.api.post(f"/api/v1/proposals/{proposal.pk}/{action}/", {}), 409)
        assert "declined by bob already" in answer["detail"]
    assert Feed.objects.get().certificate_policy == "restricted"


# --- what it is based on ---


def change_status() -> None:
    Feed.objects.get(name="PAYROLL-PROD").save()


def delete_feed() -> None:
    Feed.objects.get(name="PAYROLL-PROD").delete()


def make_anew() -> None:
    delete_feed()
    guarded_feed()


@pytest.mark.parametrize("meanwhile", [change_status, delete_feed, make_anew])
@pytest.mark.parametrize("write", [patch_policy, delete, edit_rename, bulk])
def test_a_feed_that_changed_meanwhile_stays_as_it_is(
    write: Callable[[Person], Any], meanwhile: Callable[[], None], on: None
) -> None:
    make_feeds()
    write(officer())
    meanwhile()
    before, proposal, bob = state(), Proposal.objects.get(), officer("bob")
    shown = bob.api.get(f"/api/v1/proposals/{proposal.pk}/").json()["obstacle"]
    answer = problem_of(bob.api.post(f"/api/v1/proposals/{proposal.pk}/approve/", {}), 409)
    assert answer["detail"] == f"{shown} Nothing was changed."
    assert "PAYROLL-PROD was" in shown
    page = bob.browser.get(proposal.get_absolute_url()).content.decode()
    assert "This cannot be approved as it is" in page
    assert 'value="approve"' not in page
    assert state() == before
    assert Proposal.objects.get().state == "open"


def test_a_feed_to_be_made_that_exists_by_now_stays_as_it_is(on: None) -> None:
    put_new(officer())
    make_feed("NEW-FEED")
    answer = officer("bob").api.post(f"/api/v1/proposals/{Proposal.objects.get().pk}/approve/", {})
    assert "exists by now" in problem_of(answer, 409)["detail"]
    assert not CertificateRule.objects.exists()


def test_a_feed_to_be_restored_whose_name_is_taken_stays_gone(on: None) -> None:
    make_feeds()
    restore_page(officer())
    make_feed("GONE-FEED")
    with pytest.raises(CannotDecide, match="created again"):
        approve(Proposal.objects.get().pk, officer("bob").user)


def test_a_name_that_is_taken_meanwhile_stops_a_renaming_as_a_whole(on: None) -> None:
    make_feeds()
    edit_rename(officer())
    make_feed("PAYROLL-OLD")
    before = state()
    with pytest.raises(CannotDecide, match="Nothing was changed"):
        approve(Proposal.objects.get().pk, officer("bob").user)
    assert state() == before


def test_of_two_proposals_for_one_feed_the_second_is_void_when_the_first_is_approved(on: None) -> None:
    guarded_feed()
    patch_policy(officer())
    patch_rules(officer("bob"))
    second, first = Proposal.objects.all()
    approve(first.pk, officer("carol").user)
    with pytest.raises(CannotDecide, match="was changed since"):
        approve(second.pk, officer("dave").user)


def test_the_same_asked_for_again_is_no_second_proposal(on: None) -> None:
    guarded_feed()
    alice, bob = officer(), officer("bob")
    places = {put_reset(alice)["Location"] for _ in range(3)}
    assert len(places) == Proposal.objects.count() == 1
    put_reset(bob)
    assert Proposal.objects.count() == 2


def test_if_match_is_judged_before_anything_is_proposed(on: None) -> None:
    guarded_feed()
    answer = officer().api.patch("/api/v1/feeds/PAYROLL-PROD/", {"certificate_policy": "none"}, If_Match='"1-99"')
    problem_of(answer, 412)
    assert not Proposal.objects.exists()


def test_a_write_that_fails_is_not_proposed(on: None) -> None:
    guarded_feed()
    alice = officer()
    changes = [{"name": "PAYROLL-PROD", "certificate_policy": "none"}, {"name": "NO-SUCH-FEED"}]
    problem_of(alice.api.patch("/api/v1/feeds/", changes), 400)
    problem_of(alice.api.post("/api/v1/feeds/", {"name": "PAYROLL-PROD", "certificate_policy": "none"}), 409)
    problem_of(
        caller("feeds.view_feed", "feeds.change_feed").patch(
            "/api/v1/feeds/PAYROLL-PROD/", {"certificate_policy": "none"}
        ),
        403,
    )
    assert not Proposal.objects.exists()


def test_more_than_one_person_can_read_is_refused_as_a_whole(on: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_feeds()
    monkeypatch.setattr(approval, "MAX_FEEDS", 1)
    alice, before = officer(), state()
    assert "second approval" in problem_of(bulk(alice), 400)["detail"]
    assert "second approval" in import_page(alice).content.decode()
    assert state() == before
    assert not Proposal.objects.exists()


# --- what is kept of it ---


def test_the_history_names_both_and_why(on: None) -> None:
    make_feeds()
    alice, bob = officer(), officer("bob")
    edit_policy(alice)
    proposal = Proposal.objects.get()
    answer = bob.api.call(
        "POST",
        f"/api/v1/proposals/{proposal.pk}/approve/",
        {"comment": "asked Finance"},
        {"X-Request-ID": "approve-0001"},
    )
    assert answer.status_code == 200
    change = bob.api.get("/api/v1/feeds/OPEN-FEED/history/").json()["results"][0]
    expected = f"why [proposal {proposal.pk}: proposed by alice, approved by bob: asked Finance]"
    assert (change["comment"], change["user"], change["request_id"]) == (expected, "bob", "approve-0001")
    assert {line["field"] for line in change["changes"]} == {"status", "certificate_policy"}


def test_each_feed_of_many_keeps_its_own_reason(on: None) -> None:
    make_feeds()
    bulk(officer())
    approve(Proposal.objects.get().pk, officer("bob").user)
    reasons = [
        Feed.objects.get(name=name).history.first().history_change_reason for name in ("OPEN-FEED", "PAYROLL-PROD")
    ]
    assert [reason.split(" [")[0] for reason in reasons] == ["first", "second"]


def test_s23_everything_is_in_the_audit_record(on: None) -> None:
    alice, bob = officer(), officer("bob")
    guarded_feed()
    alice.api.patch("/api/v1/feeds/PAYROLL-PROD/", {"certificate_policy": "none"}, X_Request_ID="propose-0001")
    patch_rules(alice)
    put_reset(alice)
    third, second, first = Proposal.objects.all()
    bob.api.post(f"/api/v1/proposals/{first.pk}/decline/", {"comment": "never"})
    alice.api.post(f"/api/v1/proposals/{second.pk}/withdraw/", {})
    bob.api.post(f"/api/v1/proposals/{third.pk}/approve/", {})
    entries = AuditRecord.objects.filter(kind="proposal").order_by("number")
    assert [(entry.action, entry.actor, entry.key) for entry in entries] == [
        ("proposed", "alice", str(first.pk)),
        ("proposed", "alice", str(second.pk)),
        ("proposed", "alice", str(third.pk)),
        ("declined", "bob", str(first.pk)),
        ("withdrawn", "alice", str(second.pk)),
        ("approved", "bob", str(third.pk)),
    ]
    assert entries[0].request_id == "propose-0001"
    assert ("restricted" in entries[0].old, "none" in entries[0].new) == (True, True)
    assert entries[3].comment == "never"
    assert AuditRecord.objects.filter(kind="feed", actor="bob", action="changed").count() == 1
    assert verify(stored_entries()) == []


def test_what_is_proposed_is_kept_with_where_it_came_from(on: None) -> None:
    guarded_feed()
    alice = officer()
    answer = alice.browser.patch(
        "/api/v1/feeds/PAYROLL-PROD/",
        {"certificate_policy": "none", "comment": "TICKET-7"},
        content_type="application/json",
        headers={"X-Request-ID": "propose-0001"},
        REMOTE_ADDR="192.0.2.7",
    )
    body = answer.json()
    assert (body["state"], body["proposed_by"], body["comment"]) == ("open", "alice", "TICKET-7")
    assert (body["request_id"], body["remote_address"]) == ("propose-0001", "192.0.2.7")
    (feed,) = body["feeds"]
    assert (feed["name"], feed["action"], feed["version"]) == ("PAYROLL-PROD", "change", Feed.objects.get().version)
    assert feed["changes"] == [{"field": "certificate_policy", "old": "restricted", "new": "none"}]


# --- the belt ---


def save_unwatched(feed: Feed) -> None:
    feed.save()


def delete_unwatched(feed: Feed) -> None:
    feed.delete()


def rule_unwatched(feed: Feed) -> None:
    make_rule(feed, OTHER_DN)


def many_unwatched(feed: Feed) -> None:
    changes = BulkChange("why")
    changes.change(feed, FeedChange({"status": "Drop"}))
    changes.write()


@pytest.fixture
def in_request() -> Iterator[None]:
    HistoricalRecords.context.request = object()
    yield
    del HistoricalRecords.context.request


@pytest.mark.parametrize("write", [save_unwatched, delete_unwatched, rule_unwatched, many_unwatched])
def test_a_request_that_writes_a_guard_without_asking_fails(
    write: Callable[[Feed], None], on: None, request: pytest.FixtureRequest
) -> None:
    feed = guarded_feed()
    write(make_feed("OTHER-FEED"))  # a command's, outside of any request
    request.getfixturevalue("in_request")
    with pytest.raises(UnwatchedWrite), transaction.atomic():
        write(feed)


def test_a_write_that_only_the_history_tells_of_fails_too(on: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_feeds()
    monkeypatch.setattr(bulk_changes, "before_bulk", lambda made, touched: None)
    alice, before = officer(), state()
    with pytest.raises(UnwatchedWrite):
        csv_call(alice, "name,status,certificate_policy\nOPEN-FEED,Drop,required\n")
    assert state() == before


# --- pages and lists ---


def test_the_page_shows_every_difference_and_says_what_happens(on: None) -> None:
    make_feeds()
    alice, bob = officer(), officer("bob")
    sent = edit_policy(alice)
    page = alice.browser.get(sent["Location"]).content.decode()
    assert "Nothing has been changed yet" in page
    assert "was changed successfully" not in page
    url = Proposal.objects.get().get_absolute_url()
    page = bob.browser.get(url).content.decode()
    for expected in ("<del>none</del>", "<ins>required</ins>", "<ins>Drop</ins>", "alice", "why", "guards it then"):
        assert expected in page
    feed = Feed.objects.get(name="OPEN-FEED")
    assert url in bob.browser.get(reverse("admin:feeds_feed_change", args=[feed.pk])).content.decode()
    assert "1 proposed change" in bob.browser.get(reverse("admin:index")).content.decode()
    assert "OPEN-FEED" in bob.browser.get(reverse("admin:feeds_proposal_changelist")).content.decode()
    done = bob.browser.post(url, {"decision": "approve", "change_comment": "seen"}, follow=True).content.decode()
    assert "Approved: the change is active." in done
    feed.refresh_from_db()
    assert (feed.certificate_policy, feed.status) == ("required", "Drop")
    late = bob.browser.post(url, {"decision": "decline", "change_comment": "seen"}).content.decode()
    assert "approved by bob already" in late


def test_nothing_in_a_rule_can_look_like_something_else(on: None) -> None:
    guarded_feed()
    rule = {"action": "allow", "subject_dn": "CN=client\u202e-a,O=Example", "comment": "<b>\u200bfine</b>"}
    officer().api.patch("/api/v1/feeds/PAYROLL-PROD/", {"certificate_rules": [rule]})
    page = officer("bob").browser.get(Proposal.objects.get().get_absolute_url()).content.decode()
    assert "⟨U+202E⟩" in page
    assert "⟨U+200B⟩" in page
    assert "<b>" not in page
    assert "\u202e" not in page


def test_a_change_comment_that_is_required_is_required_of_the_decision_too(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True, change_comment_required=True)
    guarded_feed()
    patch_rules(officer())
    proposal, bob = Proposal.objects.get(), officer("bob")
    problem_of(bob.api.post(f"/api/v1/proposals/{proposal.pk}/approve/", {}), 400)
    bob.browser.post(proposal.get_absolute_url(), {"decision": "approve", "change_comment": " "})
    assert Proposal.objects.get().state == "open"


def test_the_list_is_narrowed_and_ordered(on: None) -> None:
    make_feeds()
    alice, bob = officer(), officer("bob")
    for write in (patch_policy, guard_the_open, put_new):
        write(alice)
    decline(Proposal.objects.last().pk, bob.user)

    def names(query: str) -> list[str]:
        return [found["feeds"][0]["name"] for found in bob.api.get(f"/api/v1/proposals/?{query}").json()["results"]]

    assert names("") == ["NEW-FEED", "OPEN-FEED", "PAYROLL-PROD"]
    assert names("ordering=proposed_at&state=open") == ["OPEN-FEED", "NEW-FEED"]
    assert names("feed=PAYROLL-PROD") == ["PAYROLL-PROD"]
    assert names("feed=PAYROLL") == names("proposed_by=bob") == []
    assert b"NEW-FEED" in b"".join(bob.api.get("/api/v1/proposals/?format=csv").streaming_content)
    problem_of(bob.api.get("/api/v1/proposals/?colour=red"), 400)
    problem_of(bob.api.post("/api/v1/proposals/1/approve/", {"colour": "red"}), 400)
    problem_of(bob.api.get(f"/api/v1/proposals/{10**30}/"), 404)


def test_a_list_of_many_asks_the_database_as_often_as_a_list_of_one(on: None) -> None:
    """The token, its use, the user's rights (2), the count and the page."""
    alice, bob = officer(), officer("bob")
    counts = []
    for number in range(20):
        make_feed(f"FEED-{number}")
        alice.api.patch(f"/api/v1/feeds/FEED-{number}/", {"certificate_policy": "required"})
        if number in {0, 19}:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert bob.api.get("/api/v1/proposals/").json()["count"] == number + 1
            counts.append(len(queries))
    assert counts[1] <= counts[0] <= 8


def test_who_sees_feeds_sees_what_is_proposed_and_nobody_else(on: None) -> None:
    proposal = proposal_by(officer())
    viewer, nobody = person("vera", VIEWER), person("nora")
    assert viewer.api.get("/api/v1/proposals/").json()["count"] == 1
    assert viewer.browser.get(proposal.get_absolute_url()).status_code == 200
    problem_of(nobody.api.get(f"/api/v1/proposals/{proposal.pk}/"), 403)
    assert nobody.browser.get(proposal.get_absolute_url()).status_code == 403
    assert not viewer.user.has_perm(MANAGE_CERTIFICATES)


def test_the_decision_is_in_force_for_the_next_request(on: None) -> None:
    proposal = proposal_by(officer())
    policy = Feed.objects.policy_for("PAYROLL-PROD")
    approve(proposal.pk, officer("bob").user)
    after = Feed.objects.policy_for("PAYROLL-PROD")
    assert policy is not None
    assert after is not None
    assert (policy.certificate_policy, after.certificate_policy) == ("restricted", "none")
    assert datetime.now(UTC) >= Proposal.objects.get().decided_at  # type: ignore[operator]
