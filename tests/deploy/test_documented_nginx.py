"""Each nginx block of the documentation in the shipped file, running: sign-on works and S1 to S5 hold (S33)."""

import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest

from portal.environment import read_environment
from portal.server.proxy_check import Address, ProxyCheck
from portal.server.proxy_probe import probe_key
from tests.deploy.authority import GOOD_DN, Certificates
from tests.deploy.documented import in_language
from tests.deploy.portal import OPEN, REQUIRED, RESTRICTED, Portal
from tests.deploy.proxy import NGINX, Answer, Nginx, talk
from tests.deploy.test_nginx import EVIL, SPOOFS
from tests.deploy.test_nginx_portal import codes, post

pytestmark = [
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]
PROVIDER = "127.0.0.1:4180"
SIGNED_IN = "Cookie: _oauth2_proxy=alice"


@dataclass
class Provider:
    """A stand-in for oauth2-proxy: knows one cookie, and keeps what it was asked."""

    asked: list[dict[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                provider.asked.append({**headers, ":method": self.command, ":path": self.path})
                known = headers.get("cookie") == SIGNED_IN.partition(": ")[2]
                self.send_response(202 if known else 401)
                if known:
                    self.send_header("X-Auth-Request-User", "admin")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET  # noqa: N815  # the base class's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with tempfile.TemporaryDirectory(prefix="portal-signed-on-") as path:
        portal = Portal(Path(path), unix=Path(path) / "http.sock", workers=1)
        portal.environment["PORTAL_SIGNIN_HEADER"] = "X-Remote-User"
        portal.environment["PORTAL_ALLOWED_HOSTS"] = "localhost"
        with portal:
            yield portal


@pytest.fixture(scope="module")
def nginx(portal: Portal, provider: Provider, certificates: Certificates, folder: Path) -> Iterator[Nginx]:
    merged = "\n".join(block.text for block in in_language("nginx"))
    assert PROVIDER in merged
    behind_pages = r"(?m)^(?=    # Whatever a certificate that nginx refused)"
    change = (behind_pages, merged.replace(PROVIDER, provider.address))
    with Nginx(folder, certificates, portal.upstream, (change,)) as running:
        yield running


def get(nginx: Nginx, target: str, *lines: str, method: str = "GET", body: bytes = b"") -> Answer:
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *lines]
    if method == "POST":
        head.append(f"Content-Length: {len(body)}")
    [answer] = talk(nginx.connect(), "\r\n".join([*head, "", ""]).encode() + body)
    return answer


def test_s33_the_admin_asks_for_sign_on_and_names_who_signed_in(nginx: Nginx) -> None:
    away = get(nginx, "/admin/auth/user/?q=a")
    sign_in = f"https://localhost:{nginx.https}/oauth2/start?rd=/admin/auth/user/?q=a"
    assert (away.status, away.headers["location"]) == (302, sign_in)
    page = get(nginx, "/admin/auth/user/", SIGNED_IN)
    assert page.status == 200
    assert b"admin" in page.body
    assert "sessionid" in page.headers["set-cookie"]


def test_s33_the_question_of_a_form_reaches_the_provider_without_its_body(nginx: Nginx, provider: Provider) -> None:
    provider.asked.clear()
    answer = get(nginx, "/admin/login/", SIGNED_IN, method="POST", body=b"x=" + b"y" * 50_000)
    assert answer.status == 403, "the portal misses its token in the form"
    [asked] = provider.asked
    assert asked.get("content-length", "0") == "0"
    assert "transfer-encoding" not in asked
    assert asked[":path"] == "/oauth2/auth"


@pytest.mark.parametrize("lines", ["X-Remote-User: admin", "x-remote-user: admin", "X_Remote_User: admin"])
@pytest.mark.parametrize("target", ["/admin/", "/", "/docs/", "/api/v1/feeds/", "/api/docs/"])
def test_s05_s33_a_clients_own_sign_on_header_signs_nobody_in(nginx: Nginx, target: str, lines: str) -> None:
    answer = get(nginx, target, lines)
    assert "sessionid" not in answer.headers.get("set-cookie", "")
    assert answer.status == {"/admin/": 302, "/api/v1/feeds/": 401}.get(target, 200)


def test_s05_s33_beside_a_real_sign_on_it_names_nobody_else(nginx: Nginx) -> None:
    assert get(nginx, "/admin/", SIGNED_IN, "X-Remote-User: nobody", "X-Auth-Request-User: nobody").status == 200


@pytest.mark.parametrize("target", ["/status", "/livez", "/stroom/noauth/status", "/api/v1/codes/http/503/"])
def test_s33_no_machine_is_asked_to_sign_in(nginx: Nginx, target: str, provider: Provider) -> None:
    provider.asked.clear()
    assert get(nginx, target).status == 200
    assert provider.asked == []


def test_s33_deliveries_and_feed_status_are_not_asked_to_sign_in(nginx: Nginx, provider: Provider) -> None:
    provider.asked.clear()
    assert codes(talk(nginx.connect(), post(feed=OPEN))[0]) == (200, "0")
    question = get(nginx, "/api/feedStatus/v2/getFeedStatus", method="POST", body=b"{}")
    assert (question.status, json.loads(question.body)) == (
        401,
        {"error": "Give a key: Authorization: Bearer <key>."},
    )
    assert provider.asked == []


@pytest.mark.parametrize("lines", SPOOFS.values(), ids=SPOOFS.keys())
def test_s01_s02_s05_s33_no_spoof_opens_a_feed(nginx: Nginx, certificates: Certificates, lines: str) -> None:
    lines = lines.replace(EVIL, GOOD_DN)
    for pair, refusal in ((None, (401, "300")), (certificates.other, (403, "310"))):
        [answer] = talk(nginx.connect(pair), post(lines, SIGNED_IN, feed=RESTRICTED))
        assert codes(answer) in {refusal, (400, "999")}


@pytest.mark.parametrize("who", ["good", "other", "expired", "not_yet_valid", "self_signed", "unknown_ca"])
def test_s03_s33_certificates_are_judged_as_without_the_block(
    nginx: Nginx, certificates: Certificates, who: str
) -> None:
    pair = getattr(certificates, who)
    verified = who in {"good", "other"}
    assert codes(talk(nginx.connect(pair), post(feed=REQUIRED))[0]) == ((200, "0") if verified else (403, "310"))
    allowed = who == "good"
    assert codes(talk(nginx.connect(pair), post(feed=RESTRICTED))[0]) == ((200, "0") if allowed else (403, "310"))


def test_s33_s38_check_proxy_finds_nothing(nginx: Nginx, portal: Portal, certificates: Certificates) -> None:
    tls = ssl.create_default_context(cafile=str(certificates.ca))
    with probe_key(portal.folder) as key:
        address = Address.of(f"https://localhost:{nginx.https}", tls=tls)
        report = ProxyCheck(read_environment(portal.environment), address, key).run()
    assert report.arrived == {}
    assert report.unseen == ["GET /admin/ (302)", "GET /admin/login/ (302)"]
    assert report.peers == {"unix": True}
