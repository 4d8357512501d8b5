"""Reads what people paste when asked for a certificate: PEM text, or a distinguished name in any accepted form."""

import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from feeds.rules.dn import BadDistinguishedName, DistinguishedName, parse_dn

MAX_PASTED = 64 * 1024
_BEGIN = re.compile(r"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
_END = re.compile(r"-----END (?:TRUSTED |X509 )?CERTIFICATE-----")
#: What openssl (`subject=`, `Subject:`) and keytool (`Owner:`) write before a name.
_LABEL = re.compile(r"\A(?:subject|owner) *[=:] *", re.I)
_ISSUER = re.compile(r"issuer *[=:]", re.I)


class UnreadableCertificate(ValueError):
    """The pasted text is neither a PEM certificate nor a distinguished name; the message says why."""


@dataclass(frozen=True)
class PastedCertificate:
    """Result of reading a pasted text. Only a PEM certificate gives `expires`, `issuer` and `sha256`."""

    subject: str
    dn: DistinguishedName
    expires: datetime | None = None
    issuer: str = ""
    sha256: str = ""

    @property
    def turned_round(self) -> str:
        """The name in reverse order, where a DN in the comma form looks reversed.

        `openssl x509 -subject` begins with the country; a rule in that order matches no certificate. Nothing is
        turned by itself: some certificates do have their name in that order.
        """
        first, last = self.dn.parts[0], self.dn.parts[-1]
        named_last = "CN" in dict(last) and "CN" not in dict(first)
        written_so = not self.sha256 and not self.subject.startswith("/")
        return str(DistinguishedName(self.dn.parts[::-1])) if named_last and written_so else ""


def read_pasted(text: str) -> PastedCertificate:
    """Read a PEM certificate (the first, where several are pasted) or a distinguished name.

    Raises:
        UnreadableCertificate: it is neither.
    """
    if len(text) > MAX_PASTED:
        raise UnreadableCertificate(f"it is longer than {MAX_PASTED} characters")
    if "-----BEGIN" in text:
        return _read_pem(text)
    subject = _LABEL.sub("", text.strip())
    if _ISSUER.match(subject):
        raise UnreadableCertificate("it names the issuer; rules are about the subject")
    try:
        return PastedCertificate(subject, parse_dn(subject))
    except BadDistinguishedName as fault:
        raise UnreadableCertificate(str(fault)) from fault


def _read_pem(text: str) -> PastedCertificate:
    # Two searches: one expression for both would look for the end again behind each beginning.
    begin = _BEGIN.search(text)
    end = _END.search(text, begin.end()) if begin else None
    if begin is None or end is None:
        raise UnreadableCertificate("it begins like PEM, but no whole CERTIFICATE block is in it")
    block = "\n".join(line.strip(" \t") for line in text[begin.start() : end.end()].split("\n"))
    block = re.sub(r"(TRUSTED|X509) CERTIFICATE", "CERTIFICATE", block)
    try:
        certificate = x509.load_pem_x509_certificate(block.encode())
        subject = certificate.subject.rfc4514_string()
        issuer = certificate.issuer.rfc4514_string()
        dn = parse_dn(subject)
    except BadDistinguishedName as fault:
        raise UnreadableCertificate(f"its subject cannot be used: {fault}") from fault
    except (ValueError, TypeError) as fault:
        raise UnreadableCertificate("the PEM text is damaged or not a certificate") from fault
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return PastedCertificate(subject, dn, certificate.not_valid_after_utc, issuer, fingerprint)
