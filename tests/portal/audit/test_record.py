"""The record of changes: chained, complete, and refusing to be rewritten."""

import random
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.urls import reverse

from feeds.history import commented
from feeds.models import CertificateRule, Feed
from portal.audit import record as audit
from portal.audit import triggers
from portal.audit.record import (
    CHAIN,
    GENESIS,
    HEADS_FILE,
    Head,
    accept_heads,
    digest_of,
    last_announced,
    read_heads,
    record,
    stored_entries,
    together,
    verify,
)
from portal.models import ApiToken, AuditRecord
from tests.feeds.admin.admin_client import feed_form, signed_in

pytestmark = pytest.mark.both_databases


def make_chain(length: int) -> list[dict[str, object]]:
    chain: list[dict[str, object]] = []
    previous = GENESIS
    for number in range(1, length + 1):
        entry: dict[str, object] = {
            "number": number,
            "at": f"2026-02-24T18:10:{number % 60:02d}.000000Z",
            "actor": "someone",
            "remote_address": "192.0.2.7",
            "request_id": f"request-{number}",
            "action": "changed",
            "kind": "feed",
            "key": str(number),
            "name": f"FEED-{number}",
            "old": '{"status": "Receive"}',
            "new": '{"status": "Drop"}',
            "comment": "",
            "previous": previous,
        }
        entry["digest"] = previous = digest_of(entry)
        chain.append(entry)
    return chain


def heads_of(chain: list[dict[str, object]]) -> list[Head]:
    return [Head(entry["number"], entry["digest"]) for entry in chain]


def tampered(chain: list[dict[str, object]], chance: random.Random) -> list[dict[str, object]]:
    """One edit, deletion, swap, cut, or insertion; some by an attacker who recomputes digests."""
    changed = [dict(entry) for entry in chain]
    place = chance.randrange(len(changed))
    kind = chance.choice(["edit", "edit and hash", "delete", "delete and renumber", "swap", "cut", "insert"])
    if kind.startswith("edit"):
        column = chance.choice(["at", "actor", "remote_address", "action", "name", "old", "new", "comment", "key"])
        changed[place][column] = str(changed[place][column]) + "x"
        if kind == "edit and hash":
            changed[place]["digest"] = digest_of(changed[place])
    elif kind == "delete":
        del changed[place]
    elif kind == "delete and renumber":
        del changed[place]
        for entry in changed[place:]:
            entry["number"] -= 1  # type: ignore[operator]
            entry["digest"] = digest_of(entry)
    elif kind == "swap":
        other = chance.choice([index for index in range(len(changed)) if index != place])
        changed[place], changed[other] = changed[other], changed[place]
    elif kind == "cut":
        changed = changed[:place]
    else:
        changed.insert(place, {**changed[place], "name": "FORGED"})
    return changed


def test_s23_a_whole_chain_has_no_fault() -> None:
    chain = make_chain(30)
    assert verify(chain, heads_of(chain)) == []


def test_s23_a_thousand_ways_of_tampering_are_all_found() -> None:
    chain = make_chain(30)
    chance = random.Random(20260224)
    for _ in range(1000):
        assert verify(tampered(chain, chance), heads_of(chain))


def test_s23_a_number_that_is_none_is_a_fault_and_no_crash() -> None:
    chain = make_chain(3)
    chain[2]["number"] = "x"
    assert "entry x is not as it was written" in verify(chain)


def test_s23_a_chain_rewritten_from_its_beginning_is_found_by_its_announced_head() -> None:
    chain = make_chain(10)
    rewritten = make_chain(9)
    assert verify(rewritten) == []
    assert verify(rewritten, heads_of(chain)) == ["entry 10 was announced and is gone"]


def test_heads_are_read_out_of_any_log() -> None:
    head = Head(7, "a" * 64)
    lines = [f"2026-02-24 INFO audit chain head {head}\n", "12:30:00 nothing here\n", "9:short\n"]
    assert read_heads(lines) == [head]


def test_heads_name_their_chain_and_those_of_older_releases_none() -> None:
    digest = "a" * 64
    lines = [f"7:{digest}\n", f"audit chain head {Head(8, digest, 'c0ffee')}\n", "\n", f"9:{digest} chain= x\n"]
    assert read_heads(lines) == [Head(7, digest), Head(8, digest, "c0ffee"), Head(9, digest)]


def begin(chain: list[dict[str, object]], number: int) -> None:
    """Make one entry explain the heads that were announced before it, and chain the others to it."""
    chain[number - 1] |= {"kind": CHAIN, "action": "began"}
    for entry in chain[number - 1 :]:
        position = entry["number"] - 1  # type: ignore[operator]
        entry["previous"] = chain[position - 1]["digest"] if position else GENESIS
        entry["digest"] = digest_of(entry)


def test_s23_a9_heads_before_a_new_chain_are_explained_and_later_ones_are_not() -> None:
    older, chain = make_chain(20), make_chain(10)
    begin(chain, 1)
    assert verify(chain, [*heads_of(older), *heads_of(chain)]) == []
    assert verify(chain, [*heads_of(chain), *heads_of(older)[-1:]]) == ["entry 20 was announced and is gone"]
    assert verify(chain, heads_of(chain), heads_of(older)[:1]) == ["entry 1 is another one than was announced"]


def test_s23_a9_a_restored_database_goes_on_after_an_entry_that_explains_it() -> None:
    newer = make_chain(20)
    restored = make_chain(12)
    begin(restored, 11)  # restored with ten entries
    told = [*heads_of(newer), *heads_of(restored)[10:]]
    assert verify(restored, told) == []
    restored[10] |= {"kind": "feed", "action": "changed"}
    restored[10]["digest"] = digest_of(restored[10])
    assert len(verify(restored, told)) >= 10


@pytest.fixture(autouse=True)
def _empty_record(request: pytest.FixtureRequest) -> None:
    """Servers and migrations that other tests run write entries for good; here the record begins anew."""
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("db")
        triggers.remove(connection)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM portal_auditrecord")


@pytest.fixture
def _triggers(db: None) -> Iterator[None]:
    triggers.install(connection)
    yield
    triggers.remove(connection)


@pytest.mark.django_db
@pytest.mark.usefixtures("_triggers")
@pytest.mark.parametrize(
    "statement", ["UPDATE portal_auditrecord SET actor = 'x'", "DELETE FROM portal_auditrecord"]
)
def test_s23_the_database_refuses_to_change_or_remove_an_entry(statement: str) -> None:
    record("changed", kind="feed", key=1, name="A-FEED")
    with (
        pytest.raises(DatabaseError, match="only ever appended"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditRecord.objects.get(kind="feed").actor == ""


def entries(**where: object) -> list[tuple[str, str, str, str, str]]:
    rows = AuditRecord.objects.filter(**where).order_by("number")
    return [(row.action, row.kind, row.name, row.old, row.new) for row in rows]


@pytest.mark.django_db
def test_a_change_in_the_admin_is_recorded_with_who_where_why_and_what() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    client = signed_in(superuser=True)
    client.post(
        reverse("admin:feeds_feed_change", args=[feed.pk]),
        feed_form(status="Drop", change_comment="TICKET-7"),
        headers={"X-Request-ID": "request-0001"},
        REMOTE_ADDR="192.0.2.7",
    )
    entry = AuditRecord.objects.get(action="changed", kind="feed")
    assert (entry.old, entry.new) == ('{"status": "Receive"}', '{"status": "Drop"}')
    assert (entry.actor, entry.remote_address, entry.request_id, entry.comment) == (
        "someone",
        "192.0.2.7",
        "request-0001",
        "TICKET-7",
    )
    assert verify(stored_entries()) == []


@pytest.mark.django_db
def test_rules_are_recorded_from_their_making_to_their_end() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD")
    with commented("why"):
        rule = CertificateRule.objects.create(feed=feed, subject_dn="CN=a")
        rule.subject_dn = "CN=b"
        rule.save()
        rule.delete()
    told = [(action, old, new) for action, _, _, old, new in entries(kind="certificate rule", comment="why")]
    assert [action for action, *_ in told] == ["created", "changed", "deleted"]
    assert told[1][1:] == ('{"subject_dn": "CN=a"}', '{"subject_dn": "CN=b"}')
    assert "CN=b" in told[2][1]


@pytest.mark.django_db
def test_tokens_are_recorded_without_their_secret() -> None:
    user = User.objects.create_user("someone")
    token, secret = ApiToken.objects.issue(user, name="proxy")
    token.note_use()
    token.delete()
    told = entries(kind="API token")
    assert [action for action, *_ in told] == ["created", "deleted"]
    everything = "".join(str(row) for row in AuditRecord.objects.values())
    assert secret not in everything
    assert token.digest not in everything


@pytest.mark.django_db
def test_users_and_their_roles_are_recorded_but_never_a_password() -> None:
    user = User.objects.create_user("someone", password="first-secret")
    user.set_password("second-secret")
    user.save()
    user.last_login = None
    user.save()
    group = Group.objects.get(name="Viewer")
    user.groups.add(group)
    user.groups.clear()
    user.is_superuser = True
    user.save()
    told = [(action, old, new) for action, _, name, old, new in entries(kind="user")]
    assert told[1:] == [
        ("changed", "{}", '{"password": "(changed)"}'),
        ("granted", "{}", '{"roles": ["Viewer"]}'),
        ("revoked", '{"roles": ["Viewer"]}', "{}"),
        ("changed", '{"is_superuser": false}', '{"is_superuser": true}'),
    ]
    assert "secret" not in "".join(str(row) for row in AuditRecord.objects.values())


@pytest.mark.django_db
def test_what_a_role_may_do_is_recorded() -> None:
    group = Group.objects.create(name="helpers")
    group.permissions.add(Permission.objects.get(codename="view_feed"))
    action, _, name, _, new = entries(kind="role", name="helpers")[-1]
    assert (action, name) == ("granted", "helpers")
    assert "Can view feed" in new


@pytest.mark.django_db
def test_many_changes_at_once_are_one_unbroken_chain(django_assert_max_num_queries: Any) -> None:
    record("changed", kind="feed", key=0, name="BEFORE")
    # savepoints, the head, one insert; PostgreSQL takes its lock too
    with django_assert_max_num_queries(5), transaction.atomic(), together():
        for number in range(50):
            record("changed", kind="feed", key=number, name=f"FEED-{number}")
    assert AuditRecord.objects.filter(kind="feed").count() == 51
    assert verify(stored_entries()) == []


@pytest.mark.django_db
def test_changes_that_fail_leave_no_entry() -> None:
    def fail() -> None:
        with transaction.atomic(), together():
            record("changed", kind="feed", key=1, name="A-FEED")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not AuditRecord.objects.filter(kind="feed").exists()


@pytest.mark.django_db
def test_verify_audit_says_what_is_wrong_and_fails(
    settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    settings.DATA_DIR = tmp_path
    shipped = AuditRecord.objects.count()  # the roles that the migration made
    with django_capture_on_commit_callbacks(execute=True):
        for number in range(3):
            record("changed", kind="feed", key=number, name=f"FEED-{number}")
    assert len(read_heads((tmp_path / HEADS_FILE).read_text().splitlines())) == 3
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert f"{shipped + 3} entries, 3 heads" in out.getvalue()
    assert "never announced" not in out.getvalue()
    record("changed", kind="feed", key=4, name="PAST-THE-PORTAL")  # its head is not announced
    call_command("verify_audit", stdout=out)
    assert f"The entries after {shipped + 3} were never announced." in out.getvalue()
    AuditRecord.objects.filter(number__gt=shipped + 2).delete()
    errors = StringIO()
    with pytest.raises(CommandError, match="1 fault\\."):
        call_command("verify_audit", stderr=errors)
    assert f"entry {shipped + 3} was announced and is gone" in errors.getvalue()


@pytest.mark.django_db
def test_the_record_is_read_by_auditors_and_edited_by_nobody() -> None:
    record("changed", kind="feed", key=1, name="<b>A-FEED</b>")
    entry = AuditRecord.objects.get(name="<b>A-FEED</b>")
    client = signed_in(superuser=True)
    page = client.get(reverse("admin:portal_auditrecord_changelist")).content.decode()
    assert "&lt;b&gt;A-FEED" in page
    assert client.get(reverse("admin:portal_auditrecord_add")).status_code == 403
    change = reverse("admin:portal_auditrecord_change", args=[entry.pk])
    assert client.get(change).status_code == 200
    assert client.post(change, {"actor": "x"}).status_code == 403
    assert (
        client.post(reverse("admin:portal_auditrecord_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403
    )
    viewer = signed_in("view_feed", username="viewer")
    assert viewer.get(reverse("admin:portal_auditrecord_changelist")).status_code == 403


@pytest.mark.django_db
def test_s23_a9_a_new_database_begins_a_chain_and_one_that_was_emptied_is_found(
    settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    settings.DATA_DIR = tmp_path
    with django_capture_on_commit_callbacks(execute=True):
        for number in range(3):
            record("changed", kind="feed", key=number, name="FEED")
    last = last_announced()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM portal_auditrecord")
    with django_capture_on_commit_callbacks(execute=True):
        record("changed", kind="feed", key=1, name="AFTER-THE-TABLE-WAS-EMPTIED")
    with pytest.raises(CommandError, match="not whole: 3 faults"):
        call_command("verify_audit", stdout=StringIO(), stderr=StringIO())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM portal_auditrecord")
    token = audit._new_database.set(True)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            record("changed", kind="feed", key=1, name="IN-A-NEW-DATABASE")
    finally:
        audit._new_database.reset(token)
    assert last is not None
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert "2 entries" in out.getvalue()
    assert "Entry 1 " in out.getvalue()
    assert {head.chain for head in read_heads((tmp_path / HEADS_FILE).read_text().splitlines()[-2:])} == {
        AuditRecord.objects.get(number=1).key
    }


@pytest.mark.django_db
def test_s23_a9_a_restore_is_explained_by_whoever_made_it(
    settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    settings.DATA_DIR = tmp_path
    with django_capture_on_commit_callbacks(execute=True):
        for number in range(3):
            record("changed", kind="feed", key=number, name="FEED")
    AuditRecord.objects.filter(number=3).delete()  # an older database
    with pytest.raises(CommandError, match="--accept REASON"):
        call_command("verify_audit", stdout=StringIO(), stderr=StringIO())
    out = StringIO()
    with django_capture_on_commit_callbacks(execute=True):
        accept_heads("restored")
    call_command("verify_audit", stdout=out)
    assert "need not be in this database: restored" in out.getvalue()
    with django_capture_on_commit_callbacks(execute=True):
        record("changed", kind="feed", key=9, name="LATER")
    AuditRecord.objects.filter(number=4).delete()
    with pytest.raises(CommandError, match="not whole"):
        call_command("verify_audit", stdout=StringIO(), stderr=StringIO())
