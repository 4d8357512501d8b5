"""Signing in: the lock-out after failures, and sign-on by a trusted proxy."""

import ipaddress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from portal.access import sign_in
from portal.access.sign_in import LOCKED_FOR, MAX_TRIES, is_known, pair_of, take_try
from portal.audit.record import record_settings, reported_settings
from portal.environment import BadEnvironment, read_environment
from portal.http.client import TrustedProxies
from portal.models import AuditRecord, LoginTry

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def make_user(name: str = "boss") -> User:
    return User.objects.create_user(name, password="right", is_staff=True)


def log_in(password: str, *, name: str = "boss", address: str = "192.0.2.7") -> bool:
    client = Client(REMOTE_ADDR=address)
    answer = client.post("/admin/login/", {"username": name, "password": password})
    return answer.status_code == 302


def get_token(password: str, *, name: str = "boss", address: str = "192.0.2.7") -> int:
    body = {"username": name, "password": password}
    client = Client(REMOTE_ADDR=address)
    return client.post("/api/v1/auth/token/", body, content_type="application/json").status_code


def test_s17_the_right_password_signs_in_and_forgets_the_failures() -> None:
    make_user()
    for _ in range(MAX_TRIES - 1):
        assert not log_in("wrong")
    assert log_in("right")
    assert not LoginTry.objects.exists()


def test_s17_ten_failures_lock_the_pair_on_every_way_in() -> None:
    make_user()
    for _ in range(MAX_TRIES // 2):
        assert not log_in("wrong")
        assert get_token("wrong") == 401
    assert not log_in("right")
    assert get_token("right") == 401


def test_s17_nobody_can_lock_others_out() -> None:
    make_user()
    for _ in range(MAX_TRIES + 1):
        log_in("wrong", address="198.51.100.1")
    assert not log_in("right", address="198.51.100.1")
    assert log_in("right", address="192.0.2.7")


def test_s17_the_lock_ends_by_itself_and_trying_does_not_lengthen_it() -> None:
    pair = pair_of("boss", "192.0.2.7")
    for _ in range(MAX_TRIES):
        assert take_try(pair, NOW)
    assert not take_try(pair, NOW + LOCKED_FOR / 2)
    assert take_try(pair, NOW + LOCKED_FOR)


def test_s17_spellings_of_one_name_and_addresses_of_one_network_are_one_pair() -> None:
    assert pair_of(" Boss ", "192.0.2.7") == pair_of("boss", "192.0.2.7")
    assert pair_of("boss", "2001:db8::1") == pair_of("boss", "2001:db8::ffff")
    assert pair_of("boss", "::ffff:192.0.2.7") == pair_of("boss", "192.0.2.7")
    assert pair_of("boss", "192.0.2.8") != pair_of("boss", "192.0.2.7")
    assert pair_of("boss", "") == pair_of("boss", "")


@pytest.fixture
def few_sign_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "SIGN_INS", 3)
    monkeypatch.setattr(sign_in, "ALL_SIGN_INS", 5)


def test_s35_one_allowance_of_failures_counts_for_both_ways_in_and_any_name(few_sign_ins: None) -> None:
    make_user()
    assert not log_in("wrong", name="one")
    assert get_token("wrong", name="two") == 401
    assert not log_in("wrong", name="three")
    page = Client(REMOTE_ADDR="192.0.2.7").post("/admin/login/", {"username": "boss", "password": "right"})
    body = {"username": "boss", "password": "right"}
    told = Client(REMOTE_ADDR="192.0.2.7").post("/api/v1/auth/token/", body, content_type="application/json")
    for answer in (page, told):
        assert answer.status_code == 429
        assert 1 <= int(answer["Retry-After"]) <= 60
    assert told["Content-Type"] == "application/problem+json"
    assert told["RateLimit"].startswith('"sign-in";r=0;')
    assert log_in("right", address="198.51.100.1"), "another network has its own allowance"


def test_s35_successes_use_nothing_up(few_sign_ins: None) -> None:
    make_user()
    assert all(log_in("right") for _ in range(7))
    assert [get_token("wrong", name=f"no-{n}") for n in range(4)] == [401, 401, 401, 429]


def test_s35_strangers_everywhere_shut_nobody_out_who_has_signed_in_before(few_sign_ins: None) -> None:
    make_user()
    assert log_in("right", address="192.0.2.7")
    guesses = [get_token("wrong", address=f"198.51.100.{n}") for n in range(7)]
    assert guesses == [401] * 5 + [429] * 2
    assert log_in("right", address="192.0.2.7")
    assert is_known("192.0.2.7")
    assert not is_known("198.51.100.1")


def test_s35_no_password_is_hashed_beyond_the_allowance(few_sign_ins: None, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["tests.portal.access.test_sign_in.CountingHasher"]
    make_user()
    CountingHasher.times = 0
    for n in range(30):
        get_token("wrong", name=f"name-{n}")
    assert CountingHasher.times == 3


@pytest.mark.django_db(transaction=True)
def test_s17_many_tries_at_once_are_no_more_than_ten() -> None:
    pair = pair_of("boss", "192.0.2.7")

    def attempt(_: int) -> bool:
        try:
            return take_try(pair, NOW)
        finally:
            connection.close()

    if connection.settings_dict["NAME"] == ":memory:" or "mode=memory" in str(connection.settings_dict["NAME"]):
        results = [take_try(pair, NOW) for _ in range(40)]  # a database in memory is one connection's
    else:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(attempt, range(40)))
    assert results.count(True) == MAX_TRIES


def test_s17_known_unknown_and_locked_names_get_the_same_answer() -> None:
    make_user()
    for _ in range(MAX_TRIES):
        log_in("wrong")
    pages = {}
    for name in ("boss", "nobody", "locked-nobody"):
        page = Client(REMOTE_ADDR="192.0.2.7").post("/admin/login/", {"username": name, "password": "wrong"})
        text = page.content.decode().replace(name, "NAME")
        pages[name] = (page.status_code, text.split('name="csrfmiddlewaretoken"')[0])
    assert pages["boss"] == pages["nobody"] == pages["locked-nobody"]


class CountingHasher(PBKDF2PasswordHasher):
    """Counts how often a password is hashed: the time that an answer takes."""

    algorithm = "counting"
    iterations = 1
    times = 0

    def encode(self, *args: object, **kwargs: object) -> str:
        type(self).times += 1
        return super().encode(*args, **kwargs)


@override_settings(PASSWORD_HASHERS=["tests.portal.access.test_sign_in.CountingHasher"])
def test_s17_known_unknown_and_locked_names_cost_the_same_time() -> None:
    make_user()
    costs = {}
    for _ in range(MAX_TRIES):
        take_try(pair_of("locked", "192.0.2.7"), timezone.now())
    for name in ("boss", "nobody", "locked"):
        CountingHasher.times = 0
        log_in("wrong", name=name)
        costs[name] = CountingHasher.times
    assert costs == {"boss": 1, "nobody": 1, "locked": 1}


def test_s17_names_that_were_invented_do_not_pile_up() -> None:
    for number in range(50):
        take_try(pair_of(f"name-{number}", "192.0.2.7"), NOW - LOCKED_FOR - timedelta(seconds=1))
    take_try(pair_of("boss", "192.0.2.7"), NOW)
    assert LoginTry.objects.count() == 1


def test_s16_what_was_typed_is_not_kept() -> None:
    log_in("a-password-typed-wrongly", name="password-in-the-wrong-field")
    kept = str(list(LoginTry.objects.values()))
    assert "password" not in kept


# --- sign-on by a proxy ---


@pytest.fixture
def _sign_on() -> Any:
    environment = replace(
        django_settings.ENVIRONMENT,
        signin_header="x-remote-user",
        trusted_proxies=TrustedProxies((ipaddress.ip_network("10.0.0.0/8"),)),
    )
    with override_settings(ENVIRONMENT=environment):
        yield


def index_of(client: Client, user: str | None, *, address: str = "10.0.0.1") -> int:
    headers = {"X-Remote-User": user} if user is not None else {}
    return client.get("/admin/", headers=headers, REMOTE_ADDR=address).status_code


@pytest.mark.usefixtures("_sign_on")
def test_s01_a_trusted_proxy_signs_in_an_existing_user() -> None:
    make_user()
    assert index_of(Client(), "boss") == 200
    assert index_of(Client(), "nobody") == 302
    assert index_of(Client(), "boss,boss") == 302
    assert index_of(Client(), "") == 302


@pytest.mark.usefixtures("_sign_on")
def test_s01_nobody_else_is_believed() -> None:
    make_user()
    assert index_of(Client(), "boss", address="192.0.2.7") == 302


@pytest.mark.usefixtures("_sign_on")
def test_the_session_ends_when_the_proxy_names_nobody_or_somebody_else() -> None:
    make_user()
    make_user("other")
    client = Client()
    assert index_of(client, "boss") == 200
    assert index_of(client, None) == 302
    assert index_of(client, "other") == 200
    assert client.get("/admin/", REMOTE_ADDR="192.0.2.7").status_code == 302


@pytest.mark.usefixtures("_sign_on")
def test_a_page_for_which_the_proxy_asks_nobody_to_sign_in_ends_no_session() -> None:
    make_user()
    client = Client()
    assert index_of(client, "boss") == 200
    key = client.cookies["sessionid"].value
    client.get("/docs/", REMOTE_ADDR="10.0.0.1")
    assert index_of(client, "boss") == 200
    assert client.cookies["sessionid"].value == key


@pytest.mark.usefixtures("_sign_on")
def test_an_inactive_user_is_not_signed_in() -> None:
    user = make_user()
    user.is_active = False
    user.save()
    assert index_of(Client(), "boss") == 302


API = ("/api/v1/feeds/", "/api/v1/receipt/check/", "/api/docs/", "/api/v1/auth/token/")


@pytest.mark.usefixtures("_sign_on")
@pytest.mark.parametrize("path", API)
def test_s01_the_header_signs_nobody_in_below_api(path: str) -> None:
    make_user()
    client = Client()
    client.get(path, headers={"X-Remote-User": "boss"}, REMOTE_ADDR="10.0.0.1")
    assert "sessionid" not in client.cookies


@pytest.mark.usefixtures("_sign_on")
def test_a_session_from_the_header_may_use_the_api_which_looks_at_no_header() -> None:
    user = make_user()
    user.is_superuser = True
    user.save()
    client = Client()
    assert (
        client.get("/api/v1/feeds/", headers={"X-Remote-User": "boss"}, REMOTE_ADDR="10.0.0.1").status_code == 401
    )
    assert index_of(client, "boss") == 200
    for told in ({}, {"X-Remote-User": "other"}):
        assert client.get("/api/v1/feeds/", headers=told, REMOTE_ADDR="10.0.0.1").status_code == 200
    assert index_of(client, None) == 302
    assert client.get("/api/v1/feeds/", REMOTE_ADDR="10.0.0.1").status_code == 401


def test_without_the_setting_the_header_means_nothing() -> None:
    make_user()
    assert index_of(Client(), "boss") == 302


def test_the_setting_wants_a_proxy_to_believe(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="needs PORTAL_TRUSTED_PROXIES"):
        read_environment({"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_SIGNIN_HEADER": "X-Remote-User"})


# --- settings in the audit record ---


def test_s23_other_settings_are_recorded_once_and_never_a_secret(tmp_path: Path) -> None:
    base = {"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_ADMIN_PASSWORD": "hidden-secret"}
    first = reported_settings(read_environment(base))
    assert record_settings(first)
    assert not record_settings(first)
    assert record_settings(reported_settings(read_environment({**base, "PORTAL_REQUIRE_VERIFY_HEADER": "off"})))
    entry = AuditRecord.objects.filter(kind="settings").first()
    assert (entry.old, entry.comment) == ('{"require_verify_header": "True"}', "changed: require_verify_header")
    assert "hidden-secret" not in str(list(AuditRecord.objects.values()))


# --- cookies and headers ---


def test_s18_the_session_cookie_is_closed_to_scripts_and_other_sites() -> None:
    make_user()
    client = Client()
    client.post("/admin/login/", {"username": "boss", "password": "right"})
    cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert 0 < cookie["max-age"] <= 12 * 3600


@pytest.mark.parametrize("address", ["//elsewhere.example/", "https://elsewhere.example/", "javascript:1"])
def test_signing_in_leads_to_the_admin_and_never_to_another_site(address: str) -> None:
    make_user()
    form = {"username": "boss", "password": "right", "next": address}
    assert Client().post("/admin/login/", form)["Location"] == "/admin/"
