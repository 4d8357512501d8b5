"""What an import would change, and doing exactly that."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from feeds.changes.files import read_file
from feeds.changes.files_out import write_csv
from feeds.changes.import_plan import ImportRefused, apply_import, plan_import
from feeds.models import CertificateRule, Feed

pytestmark = pytest.mark.django_db

DN = "CN=client-a,OU=Test,O=Example,C=GB"
EDITOR = ("add_feed", "change_feed")


def make_user(*codenames: str, superuser: bool = False) -> User:
    user = User.objects.create_user("someone", is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def planned(text: str, user: User) -> list[tuple[str, tuple[str, ...]]]:
    return [(row.action, row.faults) for row in plan_import(read_file(text.encode()), user).rows]


def test_a_plan_says_what_is_new_what_changes_and_what_is_the_same() -> None:
    Feed.objects.create(name="OLD-FEED", owner="before")
    Feed.objects.create(name="SAME-FEED", owner="x")
    plan = plan_import(
        read_file(b"name,owner\nNEW-FEED,x\nOLD-FEED,after\nSAME-FEED,x\n"), make_user(superuser=True)
    )
    assert [row.action for row in plan.rows] == ["create", "change", "same"]
    (change,) = plan.rows[1].changes
    assert (change.field, change.old, change.new) == ("owner", "before", "after")
    assert plan.possible
    assert Feed.objects.get(name="OLD-FEED").owner == "before"


def test_what_the_file_does_not_say_stays_as_it_is() -> None:
    feed = Feed.objects.create(name="OLD-FEED", status="Drop", certificate_policy="required", owner="before")
    CertificateRule.objects.create(feed=feed, subject_dn=DN)
    apply_import(read_file(b"name,owner\nOLD-FEED,after\n"), make_user(*EDITOR), comment="c")
    feed.refresh_from_db()
    assert (feed.owner, feed.status, feed.certificate_policy) == ("after", "Drop", "required")
    assert feed.certificate_rules.count() == 1


def test_every_feed_keeps_the_comment_and_its_own_history() -> None:
    Feed.objects.create(name="OLD-FEED")
    apply_import(
        read_file(b"name,status\nOLD-FEED,Drop\nNEW-FEED,Reject\n"), make_user(superuser=True), comment="TICKET-7"
    )
    for name in ("OLD-FEED", "NEW-FEED"):
        assert Feed.objects.get(name=name).history.first().history_change_reason == "TICKET-7"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name,status\nA-FEED,Receiving\n", "status:"),
        ("name\nno good name\n", "name:"),
        ("name\nA-FEED\nA-FEED\n", "the file names this feed more than once"),
        (
            '[{"name": "A-FEED", "certificate_rules": [{"action": "allow", "subject_dn": "x"}]}]',
            "certificate rule 1:",
        ),
        (
            '[{"name": "A-FEED", "certificate_rules": [{"action": "maybe", "subject_dn": "CN=x"}]}]',
            "certificate rule",
        ),
        ('[{"name": "A-FEED", "owner": "' + "x" * 201 + '"}]', "owner:"),
    ],
)
def test_a_row_that_the_models_refuse_is_at_fault_and_nothing_is_written(text: str, fault: str) -> None:
    Feed.objects.create(name="GOOD-FEED")
    user = make_user(superuser=True)
    rows = planned(text, user)
    assert rows[-1][0] == "fault"
    assert any(reason.startswith(fault) for reason in rows[-1][1])
    with pytest.raises(ImportRefused):
        apply_import(read_file(text.encode()), user, comment="c")
    assert list(Feed.objects.values_list("name", flat=True)) == ["GOOD-FEED"]


def test_one_fault_stops_the_whole_file() -> None:
    user = make_user(superuser=True)
    with pytest.raises(ImportRefused):
        apply_import(read_file(b"name,status\nNEW-FEED,Drop\nBAD-FEED,Maybe\n"), user, comment="c")
    assert not Feed.objects.exists()


def test_a_feed_editor_imports_everything_but_guards() -> None:
    Feed.objects.create(name="OLD-FEED", certificate_policy="required")
    user = make_user(*EDITOR)
    assert planned("name,certificate_policy,owner\nOLD-FEED,required,x\n", user)[0] == ("change", ())
    for text in (
        "name,certificate_policy\nOLD-FEED,none\n",
        "name,certificate_policy\nNEW-FEED,required\n",
        '[{"name": "OLD-FEED", "certificate_rules": [{"action": "allow", "subject_dn": "CN=x"}]}]',
    ):
        assert planned(text, user) == [
            ("fault", ("a certificate officer is needed for its certificate policy or rules",))
        ]


def test_creating_and_changing_need_their_own_rights() -> None:
    Feed.objects.create(name="OLD-FEED")
    nobody = make_user()
    assert planned("name,owner\nOLD-FEED,x\nNEW-FEED,x\n", nobody) == [
        ("fault", ("you may not change feeds",)),
        ("fault", ("you may not create feeds",)),
    ]


def test_rules_in_a_file_replace_all_of_the_feeds() -> None:
    feed = Feed.objects.create(name="OLD-FEED")
    CertificateRule.objects.create(feed=feed, subject_dn="CN=gone")
    kept = CertificateRule.objects.create(feed=feed, subject_dn=DN)
    text = json.dumps([{"name": "OLD-FEED", "certificate_rules": [{"action": "allow", "subject_dn": DN}]}])
    apply_import(read_file(text.encode()), make_user(superuser=True), comment="c")
    assert feed.certificate_rules.get() == kept


def test_a_plan_that_is_no_longer_what_was_agreed_is_not_done() -> None:
    feed = Feed.objects.create(name="OLD-FEED", owner="before")
    user = make_user(superuser=True)
    file = read_file(b"name,owner\nOLD-FEED,after\n")
    agreed = plan_import(file, user).digest
    feed.owner = "meanwhile"
    feed.save()
    with pytest.raises(ImportRefused, match="changed since"):
        apply_import(file, user, comment="c", digest=agreed)
    feed.refresh_from_db()
    assert feed.owner == "meanwhile"


def test_an_export_imported_again_changes_nothing() -> None:
    feed = Feed.objects.create(name="OLD-FEED", owner="=1+1", labels=["a b"], certificate_policy="restricted")
    CertificateRule.objects.create(feed=feed, subject_dn=DN, comment="@x")
    file = read_file(write_csv(Feed.objects.all()))
    assert [row.action for row in plan_import(file, make_user(superuser=True)).rows] == ["same"]


def test_planning_costs_the_same_number_of_queries_however_long_the_file(django_assert_num_queries: Any) -> None:
    user = make_user(superuser=True)
    for number in range(40):
        Feed.objects.create(name=f"FEED-{number}")
    file = read_file(("name,owner\n" + "".join(f"FEED-{n},x\n" for n in range(40))).encode())
    with django_assert_num_queries(2):  # feeds, and the rules of all of them
        plan_import(file, user)
