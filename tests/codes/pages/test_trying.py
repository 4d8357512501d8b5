"""Code pages beyond their texts: a test answer with a curl line, links to headings, and what was refused."""

import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from feeds.models import HourlyCount, Outcome, RefusalSample
from tests.feeds.admin.admin_client import signed_in

pytestmark = pytest.mark.django_db


def curl_of(html: str) -> list[str]:
    found = re.search(r'<div class="command"><pre tabindex="0"><code>([^<]+)</code>', html)
    assert found, "there is no command"
    return shlex.split(found[1].replace("&#x27;", "'"))


def test_the_command_asks_this_portal_for_the_status(site: Client) -> None:
    html = site.get("/codes/http/503/").content.decode()
    assert curl_of(html) == ["curl", "-i", "http://localhost/try/http/503/"]
    assert '<a href="/try/http/503/">' in html


def test_the_command_of_a_stroom_code_is_a_delivery(site: Client) -> None:
    command = curl_of(site.get("/codes/stroom/310/").content.decode())
    assert command[:2] == ["curl", "-i"]
    assert command[-1] == "http://localhost/try/stroom/310/"
    assert "Feed: TEST-FEED" in command


def test_the_address_is_the_public_one_where_it_is_set(site: Client, settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, public_url="https://portal.example")
    assert curl_of(site.get("/codes/http/503/").content.decode())[-1] == "https://portal.example/try/http/503/"


@pytest.mark.parametrize("page", ["/codes/http/103/", "/codes/http/799/", "/codes/stroom/555/"])
def test_what_cannot_be_tried_is_not_offered(site: Client, page: str) -> None:
    assert "/try/" not in site.get(page).content.decode()


def test_a_number_without_an_entry_can_be_tried(site: Client) -> None:
    assert curl_of(site.get("/codes/http/471/").content.decode())[-1].endswith("/try/http/471/")


def test_nothing_is_offered_where_the_endpoints_are_off(site: Client, settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, try_endpoints=False)
    assert "/try/" not in site.get("/codes/http/503/").content.decode()


@pytest.mark.parametrize("page", ["/codes/http/404/", "/codes/http/499/", "/codes/stroom/310/", "/codes/http/471/"])
def test_each_heading_of_a_code_links_to_itself(site: Client, page: str) -> None:
    html = site.get(page).content.decode()
    headings = re.findall(r'<h[23] id="([^"]+)">[^<]+ <a class="anchor" href="#([^"]+)"', html)
    assert headings
    assert all(place == link for place, link in headings)
    assert len({place for place, _ in headings}) == len(headings)
    own = re.sub(r'<article.*?</h2>|<section class="code-class.*?</section>', "", html, flags=re.DOTALL)
    assert not re.findall(r"<h[23]>[^<]*", own), "a heading without a link"


# --- refusals, for those who may see them ---


@pytest.fixture
def refused(site: Client) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for stroom, http, count in ((310, 403, 7), (110, 406, 5)):
        for age in (3, 2, 30):
            RefusalSample.objects.create(
                at=datetime.now(UTC) - timedelta(hours=age),
                feed="A-B",
                http_status=http,
                stroom_status=stroom,
                receipt_id=f"{stroom}-{age}",
                headers={"Feed": "A-B", "X-Age": str(age)},
            )
        HourlyCount.objects.create(
            feed="A-B", hour=hour, outcome=Outcome.REFUSED, http_status=http, stroom_status=stroom, count=count
        )


@pytest.mark.usefixtures("refused")
def test_an_administrator_sees_what_was_refused_with_the_code() -> None:
    boss = signed_in("view_hourlycount", "view_refusalsample", "view_feed")
    for page in ("/codes/stroom/310/", "/codes/http/403/"):
        html = boss.get(page).content.decode()
        assert "<b>7</b> refused with HTTP 403 · Stroom 310" in html
        assert "/admin/feeds/refusalsample/now/?stroom_status=310" in html
        assert "/admin/feeds/feed/test/" in html
        assert "Stroom 110</a>" not in html
    assert "No delivery was refused with this status." in boss.get("/codes/stroom/100/").content.decode()
    for page in ("/codes/stroom/0/", "/codes/http/200/"):
        assert "Seen here" not in boss.get(page).content.decode()


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("page", ["/codes/stroom/310/", "/codes/http/403/"])
def test_the_dry_run_is_filled_with_the_latest_of_these_refusals(page: str) -> None:
    boss = signed_in("view_hourlycount", "view_refusalsample", "view_feed")
    link = re.search(
        r'<a href="(/admin/feeds/feed/test/[^"]*)">Test a request</a>', boss.get(page).content.decode()
    )
    assert link
    form = boss.get(link[1])
    assert form.context["sample"].receipt_id == "310-2"
    assert "X-Age: 2" in form.content.decode()
    empty = boss.get("/codes/stroom/100/").content.decode()
    assert '<a href="/admin/feeds/feed/test/">Test a request</a>' in empty


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("page", ["/codes/stroom/310/", "/codes/http/404/", "/codes/http/471/", "/codes/"])
def test_s31_no_shared_cache_keeps_the_page_of_a_signed_in_user(page: str) -> None:
    boss = signed_in("view_hourlycount", "view_refusalsample", "view_feed")
    answer = boss.get(page)
    assert {part.strip() for part in answer["Cache-Control"].split(",")} == {"private", "no-cache"}
    assert "Cookie" in answer["Vary"]
    assert "private" not in Client().get(page)["Cache-Control"]


@pytest.mark.usefixtures("refused")
def test_s31_nobody_else_does() -> None:
    for other in (Client(), signed_in("view_feed"), signed_in("view_hourlycount", username="counts")):
        html = other.get("/codes/stroom/310/").content.decode()
        assert "Seen here" not in html
        assert "/admin/feeds/feed/test/" not in html.partition("<main")[2]
