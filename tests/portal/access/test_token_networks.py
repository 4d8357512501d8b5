"""A token that is bound to networks is worth nothing from elsewhere, wherever tokens are taken."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoDbBlocker

from portal.http.client import is_part, is_within, read_networks
from portal.models import ApiToken
from tests.calls import make_user, problem_of
from tests.factories import make_feed
from tests.live import PROXY, Live, forget_everything, running

INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.7"


def issue(*networks: str, scopes: list[str] | None = None, name: str = "") -> str:
    user = User.objects.filter(is_superuser=True).first() or make_user(superuser=True)
    return ApiToken.objects.issue(user, networks=networks, scopes=scopes, name=name)[1]


def ask(secret: str, address: str, path: str = "/api/v1/feeds/", **how: Any) -> Any:
    client = Client(REMOTE_ADDR=address, headers={"Authorization": f"Bearer {secret}"})
    return client.post(path, how["body"], "application/json") if "body" in how else client.get(path)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("", False),
        ("unix", False),
    ],
)
def test_an_address_is_in_a_network_or_not(address: str, *, inside: bool) -> None:
    assert is_within(address, read_networks(["10.1.2.3/16", "2001:db8::/32"])) is inside
    assert is_within(address, [])


def test_parts_of_networks() -> None:
    assert is_part("10.1.0.0/16", ["10.0.0.0/8"])
    assert not is_part("10.0.0.0/7", ["10.0.0.0/8"])
    assert not is_part("2001:db8::/32", ["10.0.0.0/8"])
    assert is_part("10.0.0.0/8", [])


@pytest.mark.django_db
def test_a_stolen_token_is_as_good_as_unknown() -> None:
    secret = issue("192.0.2.0/24")
    assert ask(secret, INSIDE).status_code == 200
    refused = problem_of(ask(secret, OUTSIDE), 401)
    unknown = problem_of(ask("sp_unknown", OUTSIDE), 401)
    assert {**refused, "request_id": ""} == {**unknown, "request_id": ""}, "nothing says that it is valid"
    assert ApiToken.objects.get().last_used is not None
    assert ask(secret, OUTSIDE, "/api/v1/registries/")["RateLimit"].startswith('"anonymous"')


@pytest.mark.django_db
def test_a_token_hands_on_no_more_networks_than_it_has() -> None:
    secret = issue("192.0.2.0/24")

    def next_one(status: int, **body: Any) -> Any:
        answer = ask(secret, INSIDE, "/api/v1/tokens/", body=json.dumps(body))
        assert answer.status_code == status, answer.content
        return answer.json()

    assert next_one(201)["networks"] == ["192.0.2.0/24"]
    assert next_one(201, networks=["192.0.2.7"])["networks"] == ["192.0.2.7/32"]
    assert next_one(400, networks=["192.0.0.0/16"])["errors"][0]["field"] == "networks"
    next_one(400, networks=[])
    next_one(400, networks=["everywhere"])
    assert ask(secret, INSIDE, "/api/v1/tokens/current/").json()["networks"] == ["192.0.2.0/24"]


@pytest.mark.django_db
def test_a_command_and_a_password_bind_a_token() -> None:
    make_user(username="nightly", superuser=True).set_password("x")
    call_command("create_token", "nightly", "--networks", "10.0.0.1, 192.0.2.0/24", stdout=StringIO())
    assert ApiToken.objects.get().networks == ["10.0.0.1/32", "192.0.2.0/24"]
    with pytest.raises(CommandError, match="--networks"):
        call_command("create_token", "nightly", "--networks", "10.0.0.1/33", stdout=StringIO())


# --- outside the REST interface ---


@pytest.fixture(scope="module")
def live(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    with django_db_blocker.unblock():
        make_feed("TOKEN-FEED", certificate_policy="required")
        with running(tmp_path_factory.mktemp("data"), sender_tokens=True) as found:
            yield found
        forget_everything()


def from_address(address: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", "X-Forwarded-For": address, "Feed": "TOKEN-FEED"}


@pytest.mark.server
def test_a_delivery_counts_the_address_that_the_proxy_saw(live: Live, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        secret = issue("192.0.2.0/24", scopes=["send"], name="web-01")
        sent = live.send(headers=from_address(INSIDE, secret), body=b"x", peer=PROXY)
        assert sent.outcome == (200, 0)
        stolen = live.send(headers=from_address(OUTSIDE, secret), body=b"x", peer=PROXY)
        assert stolen.outcome == (401, 311)
        forged = live.send(headers=from_address(INSIDE, secret), body=b"x", peer="127.0.0.9")
        assert forged.outcome == (401, 311), "a header of a stranger says nothing"


@pytest.mark.server
def test_a_proxys_question_counts_its_address(live: Live, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        secret = issue("127.0.0.0/8", scopes=["check"])
        far = issue("192.0.2.0/24", scopes=["check"])
        question = b'{"feedName": "TOKEN-FEED"}'
        statuses = [
            live.send(
                "/api/feedStatus/v1/getFeedStatus",
                {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
                question,
            ).status
            for key in (secret, far)
        ]
        assert statuses == [200, 401]
