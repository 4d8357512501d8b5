"""What a list of the admin may be asked: never what takes the database too long (S27), and in words if not."""

import pytest
from django.test import Client
from django.urls import reverse

from portal.admin_site import MAX_SEARCH_LENGTH, MAX_SEARCH_WORDS
from tests.factories import make_feed
from tests.feeds.admin.admin_client import signed_in

pytestmark = pytest.mark.django_db

LISTS = [
    *("feeds_feed", "feeds_receipt", "feeds_refusalsample", "feeds_hourlycount", "feeds_retentionpolicy"),
    *("portal_apitoken", "portal_auditrecord", "auth_user", "auth_group", "codes_localnote"),
]


@pytest.fixture
def boss() -> Client:
    return signed_in(superuser=True)


@pytest.mark.parametrize("name", LISTS)
def test_s27_a_search_of_many_words_is_answered_and_of_too_many_refused(name: str, boss: Client) -> None:
    address = reverse(f"admin:{name}_changelist")
    assert boss.get(address, {"q": " ".join(["word"] * MAX_SEARCH_WORDS)}).status_code == 200
    for words in ("w " * 3_000, "w" * (MAX_SEARCH_LENGTH + 1), '"a" ' * 30, "'" * 3_000):
        answer = boss.get(address, {"q": words})
        assert (answer.status_code, "at most 20 words" in answer.content.decode()) == (400, True)


@pytest.mark.parametrize("lookup", ["name__regex", "name__iregex", "certificate_rules__subject_dn__regex"])
def test_s27_no_regular_expression_reaches_the_database(lookup: str, boss: Client) -> None:
    make_feed("A" * 60 + "-X")
    for address in (reverse("admin:feeds_feed_changelist"), reverse("admin:feeds_feed_export", args=["csv"])):
        assert boss.get(address, {lookup: "^(A+)+$"}).status_code == 400


def test_a_whole_dn_is_found(boss: Client) -> None:
    dn = "CN=a client with many words,OU=Some Unit Of An Organisation,O=Example Holdings plc,L=Newcastle upon Tyne"
    make_feed("GUARDED", allow=[dn])
    assert "GUARDED" in boss.get(reverse("admin:feeds_feed_changelist"), {"q": dn}).content.decode()


@pytest.mark.parametrize(("name", "query"), [("feeds_feed", "labels"), ("feeds_receipt", "headers")])
def test_a_filter_that_the_database_does_not_have_is_refused_in_words(name: str, query: str, boss: Client) -> None:
    address = reverse(f"admin:{name}_changelist")
    for lookup in ("contains", "contained_by"):
        answer = boss.get(address, {f"{query}__{lookup}": "1"}, follow=True)
        # PostgreSQL can; SQLite says that it cannot.
        assert answer.status_code == 200 or "cannot filter" in answer.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_the_way_back_to_the_whole_list_is_offered_where_something_is_asked_only(name: str, boss: Client) -> None:
    address = reverse(f"admin:{name}_changelist")
    assert "show all" not in boss.get(address).content.decode()
    assert "0 found, <a" in boss.get(address, {"q": "nobody-has-this-word"}).content.decode()
