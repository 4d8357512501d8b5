"""The shipped examples for front ends: each sets or removes every header that the portal might believe."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.environment import read_environment
from portal.http.client import DIALECTS
from portal.server.proxy_check import USUAL
from tests.deploy.portal import ROOT

EXAMPLES = {
    "nginx": "deploy/nginx/portal.conf",
    "apache": "deploy/apache/portal.conf",
    "haproxy": "deploy/haproxy/portal.cfg",
    "envoy": "deploy/envoy/envoy.yaml",
    "traefik": "deploy/traefik/portal.yml",
    "aws-alb": "deploy/aws-alb/listener.yaml",
}
#: Names that each proxy removes or sets without being asked to.
BY_ITSELF = {
    "envoy": {"x-forwarded-client-cert", "x-forwarded-for", "x-forwarded-proto"},
    "traefik": {"x-forwarded-tls-client-cert-info", "x-forwarded-for", "x-forwarded-proto"},
}


class Loader(yaml.SafeLoader):
    """YAML with the tags of CloudFormation."""


Loader.add_constructor("!Ref", lambda loader, node: loader.construct_scalar(node))


def text_of(dialect: str) -> str:
    return (ROOT / EXAMPLES[dialect]).read_text(encoding="utf-8")


def content_of(dialect: str) -> Any:
    return yaml.load(text_of(dialect), Loader)  # a safe loader with one more tag


def test_every_dialect_has_an_example_and_a_section() -> None:
    assert EXAMPLES.keys() == DIALECTS.keys()
    page = (ROOT / "docs/behind.md").read_text(encoding="utf-8")
    for dialect, path in EXAMPLES.items():
        assert f"| `{dialect}`" in page
        assert f"`{path}`" in page
        for name in DIALECTS[dialect].stated:
            assert re.search(rf"`{name}`", page, re.IGNORECASE) or dialect == "apache", name


@pytest.mark.parametrize("dialect", EXAMPLES)
def test_s33_the_settings_in_each_example_are_taken(dialect: str, tmp_path: Path) -> None:
    settings = dict(re.findall(r"^#   ((?:PORTAL_|HOST)\w*)=(\S+)$", text_of(dialect), re.MULTILINE))
    environment = read_environment({"PORTAL_DATA_DIR": str(tmp_path), **settings})
    assert environment.identity_headers.dialect == dialect
    assert environment.trusted_proxies.unix or environment.trusted_proxies.networks


@pytest.mark.parametrize("dialect", ["nginx", "apache", "haproxy", "envoy", "traefik"])
def test_s05_each_example_owns_every_identity_header(dialect: str) -> None:
    text = re.sub(r"^ *#.*$", "", text_of(dialect), flags=re.MULTILINE).lower()
    prefixes = tuple(re.findall(r"del-header (\S+-) -m beg", text))
    for name in {*DIALECTS[dialect].stated, *map(str.lower, USUAL), "x-remote-user"}:
        owned = name in text or name.startswith(prefixes) or name in BY_ITSELF.get(dialect, set())
        assert owned, name


def test_envoy_verifies_and_replaces_the_header() -> None:
    [chain] = content_of("envoy")["static_resources"]["listeners"][0]["filter_chains"]
    tls = chain["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is False
    assert tls["common_tls_context"]["validation_context"].keys() == {"trusted_ca"}
    manager = chain["filters"][0]["typed_config"]
    assert manager["forward_client_cert_details"] == "SANITIZE_SET"
    assert manager["set_current_client_cert_details"] == {"subject": True, "cert": True}
    assert manager["common_http_protocol_options"]["headers_with_underscores_action"] == "REJECT_REQUEST"


def test_traefik_verifies_and_passes_the_certificate() -> None:
    content = content_of("traefik")
    router = content["http"]["routers"]["portal"]
    assert router["middlewares"] == list(content["http"]["middlewares"])
    assert content["http"]["middlewares"]["portal-certificate"] == {"passTLSClientCert": {"pem": True}}
    assert set(content["http"]["middlewares"]["portal-names"]["headers"]["customRequestHeaders"].values()) == {""}
    assert content["tls"]["options"]["portal"]["clientAuth"]["clientAuthType"] == "VerifyClientCertIfGiven"


def test_the_balancer_verifies() -> None:
    listener = content_of("aws-alb")["Resources"]["Listener"]["Properties"]
    assert listener["MutualAuthentication"]["Mode"] == "verify"
    assert listener["MutualAuthentication"]["IgnoreClientCertificateExpiry"] is False
