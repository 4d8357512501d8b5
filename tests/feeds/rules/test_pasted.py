"""Reading what people paste when asked for a certificate."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from feeds.rules.dn import parse_dn
from feeds.rules.pasted import UnreadableCertificate, read_pasted


def make_pem(*attributes: tuple[x509.ObjectIdentifier, str]) -> str:
    """A self-signed certificate, attributes from the least specific to the most."""
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


COUNTRY_TO_NAME = (
    (NameOID.COUNTRY_NAME, "GB"),
    (NameOID.ORGANIZATION_NAME, "Acme, Ltd"),
    (NameOID.COMMON_NAME, "client-a"),
)


def test_a_pem_certificate_gives_its_subject_and_expiry() -> None:
    pasted = read_pasted("Bag Attributes\n" + make_pem(*COUNTRY_TO_NAME) + "\ntrailing words")
    assert pasted.dn == parse_dn(r"CN=client-a,O=Acme\, Ltd,C=GB")
    assert pasted.expires == datetime(2027, 1, 1, tzinfo=UTC)
    assert len(pasted.sha256) == 95


def test_a_pem_that_was_indented_on_its_way_is_read() -> None:
    indented = "".join(f"    {line}\r\n" for line in make_pem(*COUNTRY_TO_NAME).splitlines())
    assert read_pasted(indented).dn.common_name == "client-a"


def test_an_email_address_is_the_type_that_proxies_write() -> None:
    pasted = read_pasted(make_pem((NameOID.COMMON_NAME, "a"), (NameOID.EMAIL_ADDRESS, "a@example.org")))
    assert pasted.dn == parse_dn("emailAddress=a@example.org,CN=a")


@pytest.mark.parametrize(
    "text",
    [
        "CN=client-a, O=Example, C=GB",
        "/C=GB/O=Example/CN=client-a",
        " subject=CN = client-a, O = Example, C = GB",
        "Subject: CN=client-a, O=Example, C=GB",
        "Owner: CN=client-a, O=Example, C=GB",
        "cn=client-a,o=Example,c=GB",
    ],
)
def test_every_usual_form_of_a_name_is_one_name(text: str) -> None:
    assert read_pasted(text).dn == parse_dn("CN=client-a,O=Example,C=GB")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("client-a", "no ="),
        ("issuer=CN = Some CA, C = GB", "issuer"),
        ("Issuer: CN=Some CA", "issuer"),
        ("-----BEGIN CERTIFICATE-----\nAAAA", "no whole"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "damaged"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no whole"),
        ("x" * 70_000, "longer"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnreadableCertificate, match=reason):
        read_pasted(text)


@pytest.mark.parametrize(
    ("text", "other_way"),
    [
        (r"subject=C = GB, O = Acme\, Ltd, CN = client-a", r"CN=client-a,O=Acme\, Ltd,C=GB"),
        ("CN=client-a,O=Example,C=GB", ""),
        ("/C=GB/O=Example/CN=client-a", ""),
        ("CN=client-a", ""),
        ("OU=Test,O=Example", ""),
    ],
)
def test_a_name_that_openssl_wrote_is_shown_the_other_way_round_too(text: str, other_way: str) -> None:
    assert read_pasted(text).turned_round == other_way


def test_the_order_of_a_certificate_itself_is_never_in_doubt() -> None:
    assert read_pasted(make_pem(*reversed(COUNTRY_TO_NAME))).turned_round == ""


def test_a_value_that_looks_like_a_label_stays_whole() -> None:
    assert read_pasted(r"CN=the subject\=x,O=owner: me").dn == parse_dn(r"CN=the subject\=x,O=owner: me")
