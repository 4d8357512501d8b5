"""Many feeds at once leave the same rows, history and audit record as one after another, in a few statements."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from feeds.changes import import_plan
from feeds.changes.apply import FeedChange, RuleValues, change_feed, create_feed
from feeds.changes.files import read_file
from feeds.changes.import_plan import ImportRefused, apply_import, plan_import
from feeds.changes.import_rows import ImportFile
from feeds.models import CertificateRule, Feed
from portal.models import AuditRecord
from tests.factories import make_feed

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
RULES = [
    {"action": "allow", "subject_dn": "CN=a,O=b", "expires": "2030-01-02T03:04:05Z", "comment": "until then"},
    {"action": "deny", "subject_dn": "CN=c", "expires": "", "comment": ""},
]
ITEMS: list[dict[str, Any]] = [
    {"name": "NEW-FEED", "status": "Drop", "labels": ["a", "ü"], "certificate_rules": RULES, "reference": True},
    {"name": "PLAIN-FEED"},
    {"name": "TEXT-FEED", "description": "after", "owner": "o"},
    {"name": "RULES-FEED", "certificate_rules": RULES},
    {"name": "LOSES-FEED", "certificate_policy": "required", "certificate_rules": []},
    {"name": "SAME-FEED", "owner": "same"},
]
BY_USE = {"id", "history_id", "feed_id", "history_date", "created", "updated", "history_user_id"}


@pytest.fixture
def user() -> User:
    return User.objects.create_superuser("importer")


def file_of(items: list[dict[str, Any]]) -> ImportFile:
    return read_file(json.dumps(items).encode())


def prepare() -> None:
    make_feed("TEXT-FEED", description="before")
    kept = make_feed("RULES-FEED")
    CertificateRule.objects.create(feed=kept, action="allow", subject_dn="CN=a,O=b", comment="for ever")
    CertificateRule.objects.create(feed=kept, action="allow", subject_dn="CN=gone")
    CertificateRule.objects.create(feed=make_feed("LOSES-FEED"), action="deny", subject_dn="CN=x")
    make_feed("SAME-FEED", owner="same")


def one_by_one(user: User) -> None:
    for item in ITEMS:
        values = {name: value for name, value in item.items() if name not in {"name", "certificate_rules"}}
        rules = item.get("certificate_rules")
        wanted = None if rules is None else [rule_of(rule) for rule in rules]
        feed = Feed.objects.filter(name=item["name"]).first()
        with transaction.atomic():
            if feed is None:
                create_feed(item["name"], FeedChange(values, wanted), user=user, comment="why")
            elif item["name"] != "SAME-FEED":
                change_feed(feed, FeedChange(values, wanted), user=user, comment="why")


def rule_of(rule: dict[str, str]) -> RuleValues:
    return RuleValues(rule["action"], rule["subject_dn"], EXPIRES if rule["expires"] else None, rule["comment"])


def at_once(user: User) -> None:
    apply_import(file_of(ITEMS), user, comment="why")


def told(rows: Any) -> list[str]:
    """Rows but for what belongs to the moment and the place, in an order of their own."""
    return sorted(str({key: value for key, value in row.items() if key not in BY_USE}) for row in rows)


def everything(names: dict[int, str]) -> dict[str, list[str]]:
    """What the database holds of feeds after a change; keys are told by the name of the feed."""
    audit = []
    for entry in AuditRecord.objects.values("action", "kind", "name", "old", "new", "comment", "actor"):
        for side in ("old", "new"):
            values = json.loads(entry[side])
            values["feed"] = names.get(values.pop("feed_id", None), "")
            entry[side] = json.dumps(values, sort_keys=True)
        audit.append(entry)
    return {
        "feeds": told(Feed.objects.values()),
        "rules": told({**row, "feed": names[row["feed_id"]]} for row in CertificateRule.objects.values()),
        "history of feeds": told(Feed.history.values()),
        "history of rules": told(
            {**row, "feed": names[row["feed_id"]]} for row in CertificateRule.history.values()
        ),
        "audit": told(audit),
    }


def outcome(how: Callable[[User], None], user: User) -> dict[str, list[str]]:
    """What a way of writing leaves behind; undone afterwards."""
    with transaction.atomic():
        prepare()
        how(user)
        found = everything(dict(Feed.objects.values_list("id", "name")))
        transaction.set_rollback(True)
    return found


def test_all_at_once_leaves_what_one_by_one_leaves(user: User) -> None:
    expected, found = outcome(one_by_one, user), outcome(at_once, user)
    for what, rows in expected.items():
        assert rows, what
        assert found[what] == rows, what


def test_history_and_times_are_those_of_the_change(user: User) -> None:
    prepare()
    before = {feed.name: feed for feed in Feed.objects.all()}
    at_once(user)
    for feed in Feed.objects.all():
        latest = feed.history.first()
        assert latest.created == feed.created
        assert latest.version == feed.version
        if feed.name in before:
            assert feed.created == before[feed.name].created
            assert (feed.updated > before[feed.name].updated) is (feed.name != "SAME-FEED")
            assert latest.updated == feed.updated
    for rule in CertificateRule.objects.all():
        assert rule.history.first().feed_id == rule.feed_id


def test_a_thousand_feeds_take_no_more_statements_than_their_batches(user: User) -> None:
    """Deliveries wait while its 10,000 rows are written: one statement for each would take seconds."""
    items = [{"name": f"FEED-{n:04}", "certificate_rules": RULES} for n in range(1000)]
    for description, most in (("before", 200), ("after", 100)):
        file = file_of([{**item, "description": description} for item in items])
        with CaptureQueriesContext(connection) as queries:
            apply_import(file, user, comment="c")
        # Rows of an executemany stand in the log as one.
        assert len(queries) <= most, description
    assert Feed.objects.filter(description="after", version=2).count() == 1000


@pytest.mark.django_db(transaction=True)
def test_nothing_is_locked_while_the_plan_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The long part of an import is reading and comparing; deliveries must not wait for that."""
    user = User.objects.create_superuser("importer")
    real = import_plan._plan
    seen = []

    def watched(*arguments: Any) -> Any:
        seen.append(connection.in_atomic_block)
        return real(*arguments)

    monkeypatch.setattr(import_plan, "_plan", watched)
    apply_import(file_of(ITEMS), user, comment="c")
    assert seen == [False]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["changed", "made", "removed"])
def test_who_is_faster_is_not_written_over(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Between the plan and its writing somebody else changes a feed: the plan is made anew, or refused."""
    user = User.objects.create_superuser("importer")
    prepare()
    digest = plan_import(file_of(ITEMS), user).digest
    real = import_plan._write
    faster = [True]

    def late(*arguments: Any) -> bool:
        if faster:
            faster.pop()
            thread = threading.Thread(target=meanwhile, args=(what,))
            thread.start()
            thread.join()
        return real(*arguments)

    monkeypatch.setattr(import_plan, "_write", late)
    with pytest.raises(ImportRefused, match="have changed"):
        apply_import(file_of(ITEMS), user, comment="c", digest=digest)
    assert not Feed.objects.filter(name="PLAIN-FEED").exists()
    Feed.objects.filter(name="NEW-FEED").delete()
    faster.append(True)
    apply_import(file_of(ITEMS), user, comment="c")
    assert Feed.objects.get(name="TEXT-FEED").description == "after"
    assert Feed.objects.get(name="NEW-FEED").certificate_rules.count() == 2


def meanwhile(what: str) -> None:
    try:
        if what == "changed":
            feed = Feed.objects.get(name="TEXT-FEED")
            feed.description = f"{feed.description}, by somebody else"
            feed.save()
        elif what == "made":
            Feed.objects.create(name="NEW-FEED")
        else:
            Feed.objects.filter(name="TEXT-FEED").delete()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create_superuser("importer")
    prepare()
    expected = everything(dict(Feed.objects.values_list("id", "name")))

    def broken(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("feeds.changes.bulk._remove", broken)
    with pytest.raises(OSError, match="disk"):
        apply_import(file_of(ITEMS), user, comment="c")
    assert everything(dict(Feed.objects.values_list("id", "name"))) == expected
