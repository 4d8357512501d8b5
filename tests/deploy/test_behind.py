"""The portal behind nginx, Apache httpd and HAProxy with the shipped files, each in its own dialect."""

import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feeds.rules.decision import Certificate
from feeds.rules.metadata import read_request
from portal.environment import read_environment
from portal.http.client import DIALECTS
from portal.server.proxy_check import Address, ProxyCheck
from portal.server.proxy_probe import probe_key
from tests.deploy.authority import GOOD_DN, Pair
from tests.deploy.fronts import APACHE, HAPROXY, Change, Front, OpensslCertificates, apache, haproxy
from tests.deploy.portal import OPEN, REQUIRED, RESTRICTED, Portal
from tests.deploy.proxy import NGINX, Answer, Echo, Nginx, connect, talk
from tests.deploy.test_nginx import EVIL, SPOOFS
from tests.deploy.test_nginx_portal import codes, post

pytestmark = [
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]

Start = Callable[..., AbstractContextManager[Front | Nginx]]


def start_nginx(folder: Path, certificates: OpensslCertificates, upstream: str, *changes: Change) -> Nginx:
    return Nginx(folder, certificates, upstream, changes)


FRONTS: dict[str, tuple[Start, str | None]] = {
    "nginx": (start_nginx, NGINX),
    "apache": (apache, APACHE),
    "haproxy": (haproxy, HAPROXY),
}
#: What a client may try behind each, in addition to what it tries behind nginx.
OWN_SPOOFS = {
    "haproxy's": f"X-SSL-Client-DN: {GOOD_DN}\r\nX-SSL-Client-Verify: 0\r\nX-SSL-Client-Not-After: 990101000000Z",
    "haproxy's, doubled": f"X-SSL-Client-DN: {GOOD_DN}\r\nX-SSL-Client-DN: {GOOD_DN}\r\nX-SSL-Client-Verify: 0",
    "haproxy's, underscores": f"X_SSL_Client_DN: {GOOD_DN}\r\nX_SSL_Client_Verify: 0",
    "envoy's": f'X-Forwarded-Client-Cert: Hash=1;Subject="{GOOD_DN}"',
    "the name that is allowed": f"X-SSL-CLIENT-S-DN: {GOOD_DN}\r\nX-SSL-Client-Verify: SUCCESS",
    "hop by hop": f"Connection: X-SSL-Client-Verify, X-SSL-Client-DN\r\nX-SSL-Client-DN: {GOOD_DN}",
}


@pytest.fixture(scope="module")
def made() -> Iterator[OpensslCertificates]:
    with tempfile.TemporaryDirectory(prefix="portal-openssl-") as path:
        yield OpensslCertificates(Path(path))


@contextmanager
def running(name: str, made: OpensslCertificates, upstream: str, *changes: Change) -> Iterator[Front | Nginx]:
    start, program = FRONTS[name]
    if program is None:
        pytest.skip(f"{name} is not installed")
    with tempfile.TemporaryDirectory(prefix="front-") as path, start(Path(path), made, upstream, *changes) as front:
        yield front


class Behind:
    """One front end with the portal behind it."""

    def __init__(self, name: str, front: Front | Nginx, portal: Portal, made: OpensslCertificates) -> None:
        self.name, self.front, self.portal, self.made = name, front, portal, made

    def send(self, *lines: str, feed: str, pair: Pair | None = None) -> Answer | None:
        """The answer; None where the front end ends the handshake."""
        try:
            answers = talk(connect(self.front.https, self.made.ca, pair), post(*lines, feed=feed))
        except (ssl.SSLError, ConnectionError):
            return None
        return answers[0] if answers else None

    def codes(self, *lines: str, feed: str, pair: Pair | None = None) -> tuple[int, str | None]:
        answer = self.send(*lines, feed=feed, pair=pair)
        assert answer is not None
        return codes(answer)


@pytest.fixture(scope="module", params=FRONTS)
def behind(request: pytest.FixtureRequest, made: OpensslCertificates) -> Iterator[Behind]:
    with tempfile.TemporaryDirectory(prefix="portal-dialect-") as path:
        portal = Portal(Path(path), unix=Path(path) / "http.sock", workers=1)
        portal.environment["PORTAL_PROXY_DIALECT"] = request.param
        portal.environment["PORTAL_SIGNIN_HEADER"] = "X-Remote-User"
        with portal, running(request.param, made, portal.upstream) as front:
            yield Behind(request.param, front, portal, made)


def test_a_verified_certificate_is_allowed_and_another_is_not(behind: Behind) -> None:
    assert behind.codes(feed=RESTRICTED, pair=behind.made.good) == (200, "0")
    assert behind.codes(feed=RESTRICTED, pair=behind.made.other) == (403, "310")
    assert behind.codes(feed=REQUIRED, pair=behind.made.other) == (200, "0")


def test_the_expiry_and_a_name_with_every_sign_are_read(behind: Behind) -> None:
    assert behind.codes(feed=REQUIRED, pair=behind.made.odd) == (200, "0")


def test_without_a_certificate_one_is_asked_for(behind: Behind) -> None:
    assert behind.codes(feed=REQUIRED) == (401, "300")
    assert behind.codes(feed=OPEN) == (200, "0")


def test_s01_a_certificate_of_another_authority_is_not_believed(behind: Behind) -> None:
    """The same name, signed by another: the handshake ends, or the portal says that it is not verified."""
    answer = behind.send(feed=RESTRICTED, pair=behind.made.unknown)
    assert answer is None or codes(answer) in {(403, "310"), (401, "310")}
    assert (answer is None) == (behind.name != "nginx")


@pytest.mark.parametrize("spoof", [*SPOOFS, *OWN_SPOOFS])
def test_s02_s05_s38_no_forged_header_gets_through(behind: Behind, spoof: str) -> None:
    lines = (SPOOFS | OWN_SPOOFS)[spoof].replace(EVIL, GOOD_DN)
    for feed, pair in ((REQUIRED, None), (RESTRICTED, None), (RESTRICTED, behind.made.other)):
        answer = behind.send(lines, feed=feed, pair=pair)
        assert answer is None or answer.status in {400, 401, 403}, codes(answer)


def test_s38_check_proxy_finds_nothing_behind_the_shipped_file(behind: Behind) -> None:
    environment = read_environment(behind.portal.environment)
    tls = ssl.create_default_context(cafile=str(behind.made.ca))
    with probe_key(behind.portal.folder) as key:
        address = Address.of(f"https://localhost:{behind.front.https}", tls=tls)
        report = ProxyCheck(environment, address, key).run()
    assert report.arrived == {}
    assert set(report.peers.values()) == {True}


def test_s38_check_proxy_finds_a_name_that_the_file_no_longer_removes(made: OpensslCertificates) -> None:
    with tempfile.TemporaryDirectory(prefix="portal-dialect-") as path:
        portal = Portal(Path(path), unix=Path(path) / "http.sock", workers=1)
        portal.environment["PORTAL_PROXY_DIALECT"] = "haproxy"
        lost = (r"http-request (?:del-header x-ssl- -m beg|set-header X-SSL-Client-DN .*)", "")
        with portal, running("haproxy", made, portal.upstream, lost) as front, probe_key(portal.folder) as key:
            tls = ssl.create_default_context(cafile=str(made.ca))
            address = Address.of(f"https://localhost:{front.https}", tls=tls)
            report = ProxyCheck(read_environment(portal.environment), address, key).run()
    assert "x-ssl-client-dn" in report.arrived


#: How each passes on the whole certificate: a line after which it is put, the line, and the words of success.
WHOLE = {
    "nginx": (
        r"(?=    proxy_set_header UploadUserId)",
        "    proxy_set_header X-Certificate $ssl_client_escaped_cert;\n",
    ),
    "apache": (
        r"(?=    RequestHeader unset UploadUserId)",
        '    RequestHeader set X-Certificate "%{SSL_CLIENT_CERT}s"\n',
    ),
    "haproxy": (
        r"(?=    default_backend portal)",
        "    http-request set-header X-Certificate %[ssl_c_der,base64]\n",
    ),
}


def certificate_seen(dialect: str, echo: Echo) -> Certificate:
    return read_request(
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in echo.headers()],
        b"",
        peer="127.0.0.1",
        trusts=lambda _: True,
        identity=replace(DIALECTS[dialect], certificate="x-certificate"),
        require_verify=True,
        now=datetime.now(UTC),
    ).certificate


@pytest.mark.parametrize("name", FRONTS)
def test_the_whole_certificate_and_the_name_of_each_agree(name: str, made: OpensslCertificates) -> None:
    with Echo() as echo, running(name, made, echo.address, WHOLE[name]) as front:
        for pair, common_name in ((made.good, "payroll-sender"), (made.odd, "a+b")):
            talk(connect(front.https, made.ca, pair), post(feed=OPEN))
            found = certificate_seen(name, echo)
            assert found.verified, found.fault
            assert found.dn is not None
            assert found.dn.common_name == common_name
            assert found.expires is not None
        talk(connect(front.https, made.ca), post(f"X-Certificate: {made.good.certificate.name}", feed=OPEN))
        assert not certificate_seen(name, echo).presented


def test_s38_a_resumed_session_does_not_make_a_certificate_verified(made: OpensslCertificates) -> None:
    """HAProxy that lets unverified certificates through says so of a resumed session, too."""
    ignoring = (r"verify optional", "verify optional ca-ignore-err all crt-ignore-err all")
    with Echo() as echo, running("haproxy", made, echo.address, ignoring) as front:
        context = ssl.create_default_context(cafile=str(made.ca))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(made.unknown.certificate, made.unknown.key)
        session, reused = None, []
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", front.https), timeout=20)
            connection = context.wrap_socket(plain, server_hostname="localhost", session=session)
            reused.append(connection.session_reused)
            session = connection.session
            talk(connection, post(feed=OPEN))
            found = certificate_seen("haproxy", echo)
            assert (found.presented, found.verified) == (True, False)
        assert reused == [False, True]
