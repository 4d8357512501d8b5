"""Lists in the query: repeated, as most generated clients send them, or separated by commas."""

import pytest

from tests.calls import VIEWER, caller, problem_of
from tests.factories import make_feed

pytestmark = [pytest.mark.django_db]


@pytest.mark.parametrize(
    "query",
    ["fields=name,status", "fields=name&fields=status", "fields=name,%20status", "fields=%20name&fields=status"],
)
def test_fields_add_up(query: str) -> None:
    make_feed("FEED-A")
    results = caller(*VIEWER).get(f"/api/v1/feeds/?{query}").json()["results"]
    assert results == [{"name": "FEED-A", "status": "Receive"}]


@pytest.mark.parametrize("query", ["ordering=status,-name", "ordering=status&ordering=-name"])
def test_ordering_adds_up(query: str) -> None:
    for name in ("FEED-A", "FEED-B"):
        make_feed(name)
    results = caller(*VIEWER).get(f"/api/v1/feeds/?fields=name&{query}").json()["results"]
    assert [feed["name"] for feed in results] == ["FEED-B", "FEED-A"]


def test_other_parameters_are_given_once() -> None:
    problem = problem_of(caller(*VIEWER).get("/api/v1/feeds/?status=Drop&status=Reject"), 400)
    assert problem["errors"][0]["code"] == "given_twice"


def test_an_unknown_word_of_a_repeated_list_is_named() -> None:
    problem = problem_of(caller(*VIEWER).get("/api/v1/feeds/?fields=name&fields=colour"), 400)
    assert problem["errors"][0]["code"] == "unknown_field"
