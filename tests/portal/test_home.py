"""The first page: for everybody the catalogue, for those who may see feeds also how they stand."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from feeds.models import HourlyCount
from feeds.monitoring.figures import start_of_hour
from tests.factories import make_feed

pytestmark = pytest.mark.django_db


def count(feed: str, outcome: str, hours_ago: int, *, status: tuple[int, int] = (200, 0), number: int = 1) -> None:
    HourlyCount.objects.create(
        hour=start_of_hour(timezone.now()) - timedelta(hours=hours_ago),
        feed=feed,
        outcome=outcome,
        http_status=status[0],
        stroom_status=status[1],
        count=number,
    )


def test_strangers_and_users_without_the_right_see_nothing_of_the_feeds(client: Client) -> None:
    assert "Your feeds now" not in client.get("/").content.decode()
    client.force_login(User.objects.create_user("reader"))
    assert "Your feeds now" not in client.get("/").content.decode()


def test_administrators_see_what_is_refused_and_what_went_quiet(client: Client) -> None:
    make_feed(name="STILL-HERE")
    make_feed(name="WENT-QUIET")
    count("STILL-HERE", "received", 0)
    count("WENT-QUIET", "received", 50)
    count("STILL-HERE", "refused", 0, status=(500, 400), number=7)
    client.force_login(User.objects.create_superuser("chief"))
    html = client.get("/").content.decode()
    assert "<b>7</b> refused this hour" in html
    assert "<code>WENT-QUIET</code>" in html
    assert "<code>STILL-HERE</code>" not in html
