"""Tables at addresses of their own, and what the description says for generated clients."""

from dataclasses import replace
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from feeds.models import Feed
from portal.rest.description import operations
from tests.calls import VIEWER, caller, problem_of, superuser
from tests.factories import make_feed

pytestmark = [pytest.mark.django_db]


def test_a_list_is_a_table_at_its_own_address() -> None:
    make_feed("FEED-A")
    viewer = caller(*VIEWER)
    own = viewer.get("/api/v1/feeds.csv?fields=name,status")
    assert own["Content-Type"] == "text/csv; charset=utf-8"
    assert b"".join(own.streaming_content).decode().splitlines() == ["name,status", "FEED-A,Receive"]
    history = viewer.get("/api/v1/feeds/FEED-A/history.csv?fields=action")
    assert b"".join(history.streaming_content).decode().splitlines() == ["action", "created"]


def test_a_table_is_only_read() -> None:
    problem = problem_of(superuser().post("/api/v1/feeds.csv", {"name": "FEED-A"}), 405)
    assert problem["code"] == "method_not_allowed"
    assert not Feed.objects.exists()
    problem_of(caller(*VIEWER).get("/api/v1/feeds.csv?format=json"), 400)
    problem_of(caller(*VIEWER).get("/api/v1/nothing.csv"), 404)
    assert problem_of(caller().get("/api/v1/feeds.csv"), 403)["permission"] == "feeds.view_feed"


@pytest.fixture
def described() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


def test_answers_have_required_keys_open_words_and_no_patterns(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    feed = schemas["Feed"]
    assert set(feed["required"]) == set(feed["properties"])
    assert "pattern" not in feed["properties"]["name"]
    assert feed["properties"]["status"]["x-extensible-enum"] == ["Receive", "Reject", "Drop"]
    assert "errors" not in schemas["Problem"]["required"]
    assert "enum" in str(schemas["NewFeedRequest"]["properties"]["status"]) or "FeedStatus" in str(
        schemas["NewFeedRequest"]["properties"]["status"]
    )


def test_each_operation_says_whether_it_needs_a_token_and_what_it_gives(described: dict[str, Any]) -> None:
    public = [one for one in operations(described) if one["security"] == []]
    assert {"codes_list", "auth_token_create"} <= {one["operationId"] for one in public}
    for operation in operations(described):
        successes = {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}
        assert all(answer["description"] for answer in successes.values()), operation["operationId"]
    assert described["servers"] == [{"url": "/"}]


def test_the_pattern_of_requests_is_that_of_the_setting(settings: Any) -> None:
    settings.ENVIRONMENT = replace(
        settings.ENVIRONMENT, feed_name_pattern="^[a-z.]{3,}$", public_url="https://portal.example"
    )
    made = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    assert made["components"]["schemas"]["NewFeedRequest"]["properties"]["name"]["pattern"] == "^[a-z.]{3,}$"
    assert made["servers"] == [{"url": "https://portal.example"}]
