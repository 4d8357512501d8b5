"""Index of the API, and scripts of other sites: named origins with tokens, all others the catalogue only."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from portal.environment import BadEnvironment, read_environment
from portal.models import ApiToken
from tests.calls import VIEWER, make_user

pytestmark = [pytest.mark.django_db]
APP, STRANGER = "https://app.example.org", "https://other.example.org"


def test_the_index_lists_addresses_that_exist() -> None:
    response = Client().get("/api/v1/")
    assert response.status_code == 200
    body = response.json()
    assert {"feeds/", "receipts/", "changes/", "codes/", "tokens/current/"} <= set(body["addresses"])
    assert not [path for path in body["addresses"] if "<" in path]
    for address in [body["service_desc"], body["service_doc"], *body["addresses"].values()]:
        assert Client().get(address).status_code != 404 or address.endswith(("/current/", "/proposals/")), address
    assert 'rel="service-desc"' in response["Link"]


@pytest.fixture
def open_to_app(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, cors_origins=(APP,))


@pytest.mark.usefixtures("open_to_app")
def test_a_named_origin_may_use_a_token() -> None:
    asked = {
        "Origin": APP,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = Client().options("/api/v1/feeds/A-B/", headers=asked)
    assert preflight.status_code == 204
    assert preflight["Access-Control-Allow-Origin"] == APP
    assert "PATCH" in preflight["Access-Control-Allow-Methods"]
    assert {"Authorization", "If-Match"} <= set(preflight["Access-Control-Allow-Headers"].split(", "))
    _, secret = ApiToken.objects.issue(make_user(*VIEWER))
    read = Client().get("/api/v1/feeds/", headers={"Origin": APP, "Authorization": f"Bearer {secret}"})
    assert read.status_code == 200
    assert read["Access-Control-Allow-Origin"] == APP
    assert "Origin" in read["Vary"]
    assert "Access-Control-Allow-Credentials" not in read
    refused = Client().get("/api/v1/feeds/", headers={"Origin": APP})
    assert (refused.status_code, refused["Access-Control-Allow-Origin"]) == (401, APP)


@pytest.mark.usefixtures("open_to_app")
@pytest.mark.parametrize("origin", [STRANGER, "null", APP.upper(), f"{APP}:8443", f"{APP}.evil.example"])
def test_no_other_origin_may(origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    assert "Access-Control-Allow-Origin" not in Client().options("/api/v1/feeds/", headers=asked)
    _, secret = ApiToken.objects.issue(make_user(*VIEWER))
    read = Client().get("/api/v1/feeds/", headers={"Origin": origin, "Authorization": f"Bearer {secret}"})
    assert "Access-Control-Allow-Origin" not in read


def test_without_the_setting_nobody_may() -> None:
    asked = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    assert "Access-Control-Allow-Origin" not in Client().options("/api/v1/feeds/", headers=asked)


def test_a_script_sees_that_there_is_nothing_instead_of_a_network_failure() -> None:
    for method, path in (("GET", "/api/v1/codes"), ("DELETE", "/api/v1/codes/")):
        response = Client().generic(method, path, headers={"Origin": STRANGER})
        assert response.status_code in {404, 405}
        assert response["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "value", ["*", "app.example.org", "https://app.example.org/", "https://app.example.org:443"]
)
def test_what_is_no_origin_stops_the_start(value: str, tmp_path: Any) -> None:
    with pytest.raises(BadEnvironment, match="PORTAL_CORS_ORIGINS"):
        read_environment({"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_CORS_ORIGINS": value})
