"""A throw-away certificate authority: a server certificate and the client certificates that matter."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

GOOD_DN = "CN=payroll-sender,OU=Finance,O=Example,C=GB"
OTHER_DN = "CN=other-sender,OU=Stranger,O=Example,C=GB"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates into a folder; each name in it is one file pair."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name.from_rfc4514_string(f"CN={name}")
        now = datetime.now(UTC)
        self._certificate = (
            _builder(self._subject, self._subject, self._key, now - 400 * DAY, now + 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name.replace(' ', '-')}.crt"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, subject: str, *, days: tuple[int, int] = (-1, 30), self_signed: bool = False
    ) -> Pair:
        """Make one certificate, valid between the two days counted from now."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        dn = x509.Name.from_rfc4514_string(subject)
        issuer, signer = (dn, key) if self_signed else (self._subject, self._key)
        certificate = (
            _builder(dn, issuer, key, now + days[0] * DAY, now + days[1] * DAY)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
                ),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        return self._write(name, certificate, key)

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


@dataclass(frozen=True)
class Certificates:
    """Everything that the tests show to nginx."""

    ca: Path
    server: Pair
    good: Pair
    other: Pair
    expired: Pair
    not_yet_valid: Pair
    self_signed: Pair
    unknown_ca: Pair

    @classmethod
    def make(cls, folder: Path) -> "Certificates":
        ours, foreign = Authority(folder), Authority(folder, "Foreign CA")
        return cls(
            ca=ours.file,
            server=ours.issue("server", "CN=localhost"),
            good=ours.issue("good", GOOD_DN),
            other=ours.issue("other", OTHER_DN),
            expired=ours.issue("expired", GOOD_DN, days=(-30, -1)),
            not_yet_valid=ours.issue("early", GOOD_DN, days=(1, 30)),
            self_signed=ours.issue("self-signed", GOOD_DN, self_signed=True),
            unknown_ca=foreign.issue("unknown", GOOD_DN),
        )
