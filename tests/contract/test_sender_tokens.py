"""Sender tokens on the wire: identity, refusals, rotation, limits, and what is kept of them."""

import gzip
import io
import itertools
import json
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from feeds.maintenance.recovery import look_at
from feeds.models import RefusalSample
from feeds.receipt.delivery import Delivery
from portal.models import ApiToken
from tests.contract.test_curl import CURL
from tests.contract.test_send_to_stroom import SCRIPT
from tests.factories import DN, make_feed, make_rule
from tests.live import PROXY, Live, forget_everything, request, running

pytestmark = pytest.mark.both_databases
CERTIFICATE = {"X-SSL-CLIENT-S-DN": DN, "X-SSL-Client-Verify": "SUCCESS"}
FAILED = {**CERTIFICATE, "X-SSL-Client-Verify": "FAILED:reason"}


@pytest.fixture(scope="module")
def owner(live: Live) -> User:
    user = User.objects.create_user("senders")
    user.user_permissions.add(Permission.objects.get(codename="view_feed"))
    return user


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Live]:
    usual = settings.ENVIRONMENT
    with django_db_blocker.unblock():
        make_feed("OPEN")
        make_feed("REQUIRED", certificate_policy="required")
        allowed = make_feed("RESTRICTED", certificate_policy="restricted")
        make_rule(allowed, "token:payroll")
        make_rule(allowed, DN)
        denied = make_feed("DENIED", certificate_policy="required")
        make_rule(denied, "token:payroll", action="deny")
        make_feed("REJECTING", certificate_policy="required", status="Reject")
        make_feed("DROPPING", certificate_policy="required", status="Drop")
        with running(tmp_path_factory.mktemp("data"), sender_tokens=True) as portal:
            settings.ENVIRONMENT = replace(usual, sender_tokens=True)
            yield portal
        settings.ENVIRONMENT = usual
        forget_everything()


@pytest.fixture(autouse=True)
def empty(live: Live) -> Iterator[None]:
    yield
    live.clear()
    ApiToken.objects.all().delete()


def issue(owner: User, name: str = "payroll", **fields: Any) -> tuple[ApiToken, dict[str, str]]:
    token, secret = ApiToken.objects.issue(owner, name=name, scopes=fields.pop("scopes", ["send"]), **fields)
    return token, {"Authorization": f"Bearer {secret}"}


def send(
    live: Live, feed: str, headers: dict[str, str], body: bytes = b"data", **how: Any
) -> tuple[int, int | None]:
    return live.send("/datafeed", {"Feed": feed, **headers}, body, peer=PROXY, **how).outcome


#: By feed and identity: the Stroom status that the contract gives. Written by hand.
TABLE = {
    "OPEN": dict.fromkeys(
        itertools.product(("no token", "bad", "payroll", "other"), ("none", "good", "failed")), 0
    ),
    "REQUIRED": {
        ("no token", "none"): 302,
        ("no token", "good"): 0,
        ("no token", "failed"): 310,
        ("bad", "none"): 311,
        ("bad", "good"): 0,
        ("bad", "failed"): 311,
        **dict.fromkeys(itertools.product(("payroll", "other"), ("none", "good", "failed")), 0),
    },
    "RESTRICTED": {
        ("no token", "none"): 302,
        ("no token", "good"): 0,
        ("no token", "failed"): 310,
        ("bad", "none"): 311,
        ("bad", "good"): 0,
        ("bad", "failed"): 311,
        ("payroll", "none"): 0,
        ("payroll", "good"): 0,
        ("payroll", "failed"): 0,
        ("other", "none"): 310,
        ("other", "good"): 0,
        ("other", "failed"): 310,
    },
}
TABLE["DENIED"] = {**TABLE["REQUIRED"], **{("payroll", shown): 310 for shown in ("none", "good", "failed")}}
TABLE["DROPPING"] = TABLE["REQUIRED"]
HTTP = {0: 200, 110: 406, 302: 401, 310: 403, 311: 401}
NAMES = {
    302: "CLIENT_TOKEN_OR_CERT_REQUIRED",
    310: "CLIENT_CERTIFICATE_NOT_AUTHENTICATED",
    311: "CLIENT_TOKEN_NOT_AUTHENTICATED",
}


def test_all_surfaces_agree_with_the_table_about_every_pair_of_identities(live: Live, owner: User) -> None:
    key = ApiToken.objects.issue(owner, scopes=["check"])[1]
    shown = {"none": {}, "good": CERTIFICATE, "failed": FAILED}
    tokens = {"no token": {}, "bad": {"Authorization": "Bearer sp_not-a-token"}}
    tokens |= {name: issue(owner, name)[1] for name in ("payroll", "other")}
    for feed, expected in TABLE.items():
        for (token, certificate), code in expected.items():
            where = (feed, token, certificate)
            answer = live.send(
                "/datafeed", {"Feed": feed, **tokens[token], **shown[certificate]}, b"data", peer=PROXY
            )
            assert answer.outcome == (HTTP[code], code), where
            assert answer.header("www-authenticate") is None
            dry = check(live, key, feed, token, certificate)
            assert (dry["http_status"], dry["stroom_status"]) == (HTTP[code], code), where
            assert dry["response"]["headers"].get("Stroom-Error") == answer.header("stroom-error"), where
            for version in (1, 2):
                asked = ask(live, key, version, feed, token, certificate)
                if asked is None:
                    continue
                assert (asked["status"] == "Reject") is (code != 0), where
                assert set(asked) <= {"status", "message", "stroomStatusCode"}
                assert asked.get("stroomStatusCode") == (NAMES.get(code) if version == 2 else None), where
    assert send(live, "REJECTING", {}) == (406, 110)
    assert send(live, "NO-SUCH", tokens["payroll"]) == (406, 110)
    assert live.send("/datafeed", tokens["payroll"], b"data").outcome == (406, 100)


def check(live: Live, key: str, feed: str, token: str, certificate: str) -> dict[str, Any]:
    question: dict[str, Any] = {"headers": {"Feed": feed}}
    if certificate != "none":
        question["certificate"] = {"dn": DN, "verified": certificate == "good"}
    if token != "no token":
        question["token"] = {"name": token, "valid": token != "bad"}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = request("/api/v1/receipt/check/", headers, json.dumps(question).encode())
    answer = live.exchange(data.replace(b"Host: somewhere.example.org", b"Host: localhost"))
    assert answer.status == 200, answer.text
    parsed: dict[str, Any] = json.loads(answer.body)
    return parsed


def ask(live: Live, key: str, version: int, feed: str, token: str, certificate: str) -> dict[str, str] | None:
    """Ask as a stroom-proxy that has authenticated the sender; None for what it cannot say."""
    attributes = {"RemoteDN": DN} if certificate != "none" else {}
    if certificate == "failed":
        attributes["X-SSL-Client-Verify"] = "FAILED:reason"
    if version == 1:
        if token != "no token" or certificate == "failed":
            return None
        question: dict[str, Any] = {"feedName": feed, "senderDn": attributes.get("RemoteDN")}
    else:
        user = None if token == "no token" else {"subjectId": f"token:{token}", "displayName": None}
        question = {"feedName": feed, "userDesc": user, "attributeMap": attributes}
    headers = {"Authorization": f"Bearer {key}"}
    answer = live.send(f"/api/feedStatus/v{version}/getFeedStatus", headers, json.dumps(question).encode())
    assert answer.status == 200
    parsed: dict[str, str] = json.loads(answer.body)
    return parsed


def test_the_user_of_a_proxy_is_a_token_only_by_its_id(live: Live, owner: User) -> None:
    key = ApiToken.objects.issue(owner, scopes=["check"])[1]
    issue(owner)
    users: list[Any] = ["payroll", {"subjectId": "payroll"}, {"subjectId": 5}, {"displayName": "token:payroll"}, []]
    for user in users:
        question = {"feedName": "REQUIRED", "userDesc": user, "attributeMap": {"UploadUserId": "token:payroll"}}
        headers = {"Authorization": f"Bearer {key}"}
        answer = live.send("/api/feedStatus/v2/getFeedStatus", headers, json.dumps(question).encode())
        assert json.loads(answer.body)["stroomStatusCode"] == "CLIENT_TOKEN_OR_CERT_REQUIRED", user
    doubled = b'{"feedName":"REQUIRED","userDesc":{"subjectId":"token:other","subjectId":"token:payroll"}}'
    answer = live.send("/api/feedStatus/v2/getFeedStatus", {"Authorization": f"Bearer {key}"}, doubled)
    assert json.loads(answer.body)["status"] == "Reject"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unknown", "it is not known, or was revoked"),
        ("expired", "it has expired: payroll"),
        ("inactive", "its user is not active: payroll"),
        ("scope", "it does not have the scope send"),
        ("doubled", "the request has several Authorization headers"),
    ],
)
def test_a_token_that_does_not_count_is_401_311_and_the_sample_says_why(
    live: Live, owner: User, fault: str, words: str
) -> None:
    token, headers = issue(owner, scopes=["read", "write", "check"] if fault == "scope" else ["send"])
    pairs = [("Feed", "REQUIRED"), *headers.items()]
    if fault == "unknown":
        token.delete()
    elif fault == "expired":
        ApiToken.objects.update(expires=timezone.now())
    elif fault == "inactive":
        User.objects.filter(pk=owner.pk).update(is_active=False)
    elif fault == "doubled":
        pairs += [("Authorization", "Basic eDp5")]
    answer = live.send("/datafeed", pairs, b"data", peer=PROXY)
    User.objects.filter(pk=owner.pk).update(is_active=True)
    assert answer.outcome == (401, 311)
    assert answer.lines[0] == "Stroom Status 311 - Client Token failed authentication [Feed: REQUIRED]"
    assert headers["Authorization"].split()[1] not in answer.text
    live.worker.service.counts.flush()
    sample = RefusalSample.objects.get()
    assert words in sample.trace[-1]["explanation"]
    assert sample.sender_token == ""
    assert headers["Authorization"].split()[1] not in json.dumps([sample.headers, sample.trace])


@pytest.mark.parametrize("authorization", ["Basic cGF5cm9sbDp4", "Bearer", "Bearer ", "", "sp_x"])
def test_what_is_no_bearer_token_is_no_token(live: Live, authorization: str) -> None:
    assert send(live, "REQUIRED", {"Authorization": authorization}) == (401, 302)
    assert send(live, "REQUIRED", {"Authorization": authorization, **CERTIFICATE}) == (200, 0)


def test_the_receipt_names_the_token_and_the_metadata_names_it_as_stroom_does(live: Live, owner: User) -> None:
    token, headers = issue(owner, scopes=["send", "check"])
    assert send(live, "RESTRICTED", {**headers, "UploadUserId": "token:other"}) == (200, 0)
    (receipt,) = live.receipts()
    assert (receipt.sender_token, receipt.sender_dn) == ("payroll", None)
    assert receipt.headers["UploadUserId"] == "token:payroll"
    assert receipt.headers["UploadUsername"] == "payroll"
    assert "Authorization" not in receipt.headers
    path = live.store / receipt.path
    assert b"UploadUserId:token:payroll\n" in path.with_suffix(".meta").read_bytes()
    assert headers["Authorization"].split()[1].encode() not in path.with_suffix(".meta").read_bytes()
    token.refresh_from_db()
    assert token.last_used is not None


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sp_bad"}])
def test_nobody_can_claim_to_be_a_token_in_the_metadata(live: Live, headers: dict[str, str]) -> None:
    claim = {"UploadUserId": "token:payroll", "UploadUsername": "payroll", **headers}
    assert send(live, "OPEN", claim) == (200, 0)
    assert live.send("/datafeed", {"Feed": "OPEN", **claim}, b"data").outcome == (200, 0)
    for receipt in live.receipts():
        assert receipt.sender_token is None
        assert "UploadUserId" not in receipt.headers
    assert send(live, "OPEN", {"UploadUserId": "jo"}) == (200, 0)
    assert live.receipts()[-1].headers["UploadUserId"] == "jo"


def test_r12_a_recovered_receipt_has_its_token_back(live: Live, owner: User) -> None:
    _, headers = issue(owner)
    send(live, "REQUIRED", headers)
    (receipt,) = live.receipts()
    recovered = look_at(live.store, PurePosixPath(receipt.path)).receipt
    assert recovered.sender_token == "payroll"


def test_a_token_is_rotated_with_an_overlap_in_which_both_send(live: Live, owner: User) -> None:
    old, headers = issue(owner, rate=100)
    body = json.dumps({"overlap": 3600}).encode()
    asked = {**headers, "Content-Type": "application/json"}
    data = request("/api/v1/tokens/", asked, body)
    answer = live.exchange(data.replace(b"Host: somewhere.example.org", b"Host: localhost"))
    assert answer.status == 201, answer.text
    made = json.loads(answer.body)
    new = {"Authorization": f"Bearer {made['token']}"}
    assert (made["name"], made["scopes"], made["rate"], made["expires"]) == ("payroll", ["send"], 100, None)
    old.refresh_from_db()
    assert old.expires is not None
    assert timezone.now() < old.expires <= timezone.now() + timedelta(hours=1)
    assert send(live, "RESTRICTED", headers) == send(live, "RESTRICTED", new) == (200, 0)
    ApiToken.objects.filter(pk=old.pk).update(expires=timezone.now())
    assert send(live, "RESTRICTED", headers) == (401, 311)
    assert send(live, "RESTRICTED", new) == (200, 0)
    assert {receipt.sender_token for receipt in live.receipts()} == {"payroll"}


def test_r19_a_token_that_is_revoked_during_the_upload_sends_nothing(
    live: Live, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, headers = issue(owner)
    verify = Delivery.verify

    def revoke_first(self: Delivery) -> None:
        ApiToken.objects.all().delete()
        verify(self)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("1.dat", b"data")
    monkeypatch.setattr(Delivery, "verify", revoke_first)
    how = {**headers, "Compression": "ZIP"}
    assert send(live, "REQUIRED", how, archive.getvalue()) == (401, 311)
    assert live.files() == []


def test_the_token_counts_for_every_feed_of_an_archive(live: Live, owner: User) -> None:
    _, headers = issue(owner)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for number, feed in enumerate(("RESTRICTED", "OPEN", "REQUIRED")):
            packed.writestr(f"{number}.meta", f"Feed:{feed}")
            packed.writestr(f"{number}.dat", b"data")
    how = {"Compression": "ZIP"}
    assert send(live, "OPEN", {**how, **headers}, archive.getvalue()) == (200, 0)
    assert send(live, "OPEN", how, archive.getvalue()) == (401, 302)
    assert send(live, "OPEN", {**how, **issue(owner, "other")[1]}, archive.getvalue()) == (403, 310)


@pytest.mark.parametrize("size", [4, 600_000], ids=["whole", "streamed"])
def test_tokens_of_one_name_share_their_limit_and_nobody_else_feels_it(live: Live, owner: User, size: int) -> None:
    _, one = issue(owner, rate=3)
    _, two = issue(owner, rate=3)
    _, free = issue(owner, "other")
    body = b"x" * size
    outcomes = [send(live, "REQUIRED", headers, body) for headers in (one, two, one, two, one)]
    assert outcomes == [(200, 0)] * 3 + [(503, 999)] * 2
    answer = live.send("/datafeed", {"Feed": "REQUIRED", **one}, body)
    assert 30 <= int(answer.header("retry-after") or 0) <= 90
    assert "3 deliveries a minute" in answer.lines[1]
    assert send(live, "REQUIRED", free, body) == (200, 0)
    assert send(live, "REQUIRED", CERTIFICATE, body) == (200, 0)
    assert send(live, "NO-SUCH", one, body) == (406, 110)


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_and_the_sending_script_send_with_a_token(live: Live, owner: User, tmp_path: Path) -> None:
    """The script of the field takes headers as they are: `-H 'Authorization:Bearer …'`."""
    secret = issue(owner)[1]["Authorization"].split()[1]
    file = tmp_path / "audit.log"
    file.write_bytes(b"a line\n")
    address = f"http://127.0.0.1:{live.port}/datafeed"
    options = ["-H", "Feed:RESTRICTED", "-H", f"Authorization:Bearer {secret}"]
    command = ["bash", "-c", SCRIPT, "send", str(file), address, *options]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert done.stdout.decode().splitlines() == ["sent, 200"]
    assert not file.exists()
    assert secret not in done.stderr.decode()
    piped = [CURL or "", "-sS", *options, "-H", "Compression: GZIP", "-T", "-", "-X", "POST", address]
    data = gzip.compress(b"a line\n")
    done = subprocess.run(piped, input=data, capture_output=True, timeout=60, check=True)
    assert live.stored(done.stdout.decode()) == data


def test_deliveries_are_counted_by_what_identified_the_sender(live: Live, owner: User) -> None:
    def counted(identity: str) -> float:
        series = live.worker.metrics._identities
        return sum(series[key]._value.get() for key in series if key[0] == identity)

    before = {name: counted(name) for name in ("token", "token_refused", "certificate", "none")}
    _, headers = issue(owner)
    send(live, "REQUIRED", headers)
    send(live, "REQUIRED", {"Authorization": "Bearer sp_bad"})
    send(live, "OPEN", CERTIFICATE)
    send(live, "OPEN", {})
    assert {name: counted(name) - before[name] for name in before} == dict.fromkeys(before, 1)


def test_without_the_setting_a_token_changes_nothing(live: Live, owner: User, tmp_path: Path) -> None:
    _, headers = issue(owner)
    with running(tmp_path, sender_tokens=False) as plain:
        assert send(plain, "REQUIRED", headers) == (401, 300)
        assert send(plain, "REQUIRED", {**headers, **CERTIFICATE}) == (200, 0)
        assert send(plain, "RESTRICTED", {**headers, **FAILED}) == (403, 310)
        assert send(plain, "DENIED", {**headers, **CERTIFICATE}) == (200, 0)
        assert send(plain, "OPEN", {"Authorization": "Bearer sp_bad"}) == (200, 0)
        assert all(receipt.sender_token is None for receipt in plain.receipts())
        plain.clear()
