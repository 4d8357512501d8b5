"""Runs Apache httpd and HAProxy with the shipped files, and makes certificates with openssl."""

import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

from tests.deploy.authority import Pair
from tests.deploy.portal import ROOT
from tests.deploy.proxy import free_port, wait_for

APACHE = shutil.which("apache2", path="/usr/sbin:/usr/bin:/usr/local/sbin")
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
_MODULES = Path("/usr/lib/apache2/modules")
_LOADED = ("mpm_event", "authz_core", "ssl", "socache_shmcb", "headers", "proxy", "proxy_http", "env", "reqtimeout")

Change = tuple[str, str]


def openssl(*arguments: str) -> None:
    run = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr


class OpensslCertificates:
    """Certificates of one authority, and one of another, made by the openssl program."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = self._own("ca", "/CN=Senders CA")
        self.ca = self._authority.certificate
        foreign = self._own("foreign-ca", "/CN=Foreign CA")
        self.server = self.issue("server", "/CN=localhost")
        self.good = self.issue("good", "/C=GB/O=Example/OU=Finance/CN=payroll-sender")
        self.other = self.issue("other", "/C=GB/O=Example/CN=other-sender")
        self.odd = self.issue("odd", '/C=GB/O=Müller, \\/ Söhne "x"/CN=a\\+b')
        self.unknown = self.issue("unknown", "/C=GB/O=Example/OU=Finance/CN=payroll-sender", foreign)
        self.pem = folder / "both.pem"
        self.pem.write_bytes(self.server.certificate.read_bytes() + self.server.key.read_bytes())

    def issue(self, name: str, subject: str, authority: Pair | None = None) -> Pair:
        pair, signer = self._pair(name), authority or self._authority
        request = str(self._folder / f"{name}.csr")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(pair.key))
        openssl("req", "-new", "-utf8", *key, "-subj", subject, "-out", request)
        (extensions := self._folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        signed_by = ("-CA", str(signer.certificate), "-CAkey", str(signer.key), "-CAcreateserial")
        end = ("-days", "30", "-extfile", str(extensions), "-out", str(pair.certificate))
        openssl("x509", "-req", "-in", request, *signed_by, *end)
        return pair

    def _own(self, name: str, subject: str) -> Pair:
        pair = self._pair(name)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(pair.key))
        openssl("req", "-x509", *key, "-subj", subject, "-days", "30", "-out", str(pair.certificate))
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")


class Front:
    """A running proxy with the shipped file, in which addresses and paths alone are replaced."""

    def __init__(self, command: list[str], port: int) -> None:
        self._command, self.https = command, port

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE)
        wait_for(self.https, self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=20)


def apache(folder: Path, certificates: OpensslCertificates, upstream: str, *changes: Change) -> Front:
    port = free_port()
    (folder / "portal.conf").write_text(
        _changed(
            ROOT / "deploy/apache/portal.conf",
            (r"<VirtualHost \*:443>", f"<VirtualHost 127.0.0.1:{port}>"),
            (r"/etc/apache2/tls/portal\.crt", str(certificates.server.certificate)),
            (r"/etc/apache2/tls/portal\.key", str(certificates.server.key)),
            (r"/etc/apache2/tls/senders-ca\.crt", str(certificates.ca)),
            (r"unix:/run/stroom-portal-http\.sock\|http://portal/", _upstream(upstream)),
            *changes,
        )
    )
    loaded = "".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so\n" for name in _LOADED)
    (folder / "apache.conf").write_text(
        f"ServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\nListen 127.0.0.1:{port}\n"
        f"{loaded}ServerName localhost\nDefaultRuntimeDir {folder}\n"
        f"SSLSessionCache shmcb:{folder}/sessions(512000)\nInclude {folder}/portal.conf\n"
    )
    return Front([str(APACHE), "-f", str(folder / "apache.conf"), "-D", "FOREGROUND"], port)


def haproxy(folder: Path, certificates: OpensslCertificates, upstream: str, *changes: Change) -> Front:
    port = free_port()
    (folder / "haproxy.cfg").write_text(
        _changed(
            ROOT / "deploy/haproxy/portal.cfg",
            (r"bind :443 ", f"bind 127.0.0.1:{port} "),
            (r"log /dev/log local0", "log stderr format raw local0 err"),
            (r"/etc/haproxy/tls/portal\.pem", str(certificates.pem)),
            (r"/etc/haproxy/tls/senders-ca\.crt", str(certificates.ca)),
            (r"unix@/run/stroom-portal-http\.sock", upstream.replace("unix:", "unix@")),
            *changes,
        )
    )
    return Front([str(HAPROXY), "-db", "-f", str(folder / "haproxy.cfg")], port)


def _upstream(address: str) -> str:
    return f"{address}|http://portal/" if address.startswith("unix:") else f"http://{address}/"


def _changed(path: Path, *changes: Change) -> str:
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement.replace("\\", r"\\"), text)
        assert count, f"{pattern} is not in {path}"
    return text
