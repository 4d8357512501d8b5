"""A list of feeds is read and shown in few queries, with the same values as field by field."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.serializers import ModelSerializer

from feeds.api.feed_serializers import FeedSerializer
from feeds.models import CertificateRule, Feed
from portal.models import ApiToken

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Client:
    user = User.objects.create_superuser("boss", password="correct horse battery")
    _, secret = ApiToken.objects.issue(user)
    return Client(headers={"authorization": f"Bearer {secret}", "host": "localhost"})


def make_feed(name: str) -> Feed:
    feed = Feed.objects.create(name=name, labels=["web", "ü"], reference=True, description="Lines\nand “words”.")
    for moment in (None, datetime(2030, 5, 1, 12, 0, 0, 250, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)):
        CertificateRule.objects.create(feed=feed, subject_dn="CN=a", expires=moment, comment="c")
    return feed


def test_p13_a_list_of_100_feeds_with_rules_costs_at_most_6_queries(
    reader: Client, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    feeds = Feed.objects.bulk_create(Feed(name=f"FEED-{number}") for number in range(100))
    CertificateRule.objects.bulk_create(CertificateRule(feed=feed, subject_dn="CN=a") for feed in feeds * 3)
    reader.get("/api/v1/feeds/")
    with django_assert_max_num_queries(6):
        page = reader.get("/api/v1/feeds/").json()
    assert len(page["results"]) == 100
    assert {len(feed["certificate_rules"]) for feed in page["results"]} == {3}


def test_a_feed_is_shown_as_field_by_field() -> None:
    feed = make_feed("FEED-1")
    feed.created = datetime(2026, 3, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    serializer = FeedSerializer(feed)
    shown = serializer.data
    assert shown == ModelSerializer.to_representation(serializer, feed)
    assert list(shown) == [name for name, field in serializer.fields.items() if not field.write_only]
    assert shown["created"] == "2026-03-01T00:00:00Z"


def test_only_chosen_fields_are_shown(reader: Client) -> None:
    make_feed("FEED-1")
    (feed,) = reader.get("/api/v1/feeds/?fields=etag,name").json()["results"]
    assert list(feed) == ["name", "etag"]
