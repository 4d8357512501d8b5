"""Identity headers of six proxies: what each states of a certificate, and that no spoof of it is verified."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from feeds.rules.decision import Certificate
from portal.http.client import DIALECTS, IdentityNames
from tests.factories import NOW
from tests.feeds.rules.heads import PROXY, STRANGER, read

DN = "CN=sender-a,OU=Finance,O=Example,C=GB"
END = datetime(2027, 1, 31, 12, tzinfo=UTC)
Lines = list[tuple[str, str]]


def make(subject: str, end: datetime = END) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(end - timedelta(days=4000))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )


CERTIFICATE = make(DN)
PEM = CERTIFICATE.public_bytes(serialization.Encoding.PEM).decode()
BARE = base64.b64encode(CERTIFICATE.public_bytes(serialization.Encoding.DER)).decode()
OTHER_PEM = make("CN=other").public_bytes(serialization.Encoding.PEM).decode()
ENDED_PEM = make(DN, NOW - timedelta(days=1)).public_bytes(serialization.Encoding.PEM).decode()
#: As Traefik writes the name of the same certificate.
INFO = 'Subject="C=GB,O=Example,OU=Finance,CN=sender-a"'
SECONDS = f'NA="{END.timestamp():.0f}"'
XFCC = f'By=spiffe://portal;Hash={"0f" * 32};Subject="{DN}";URI=spiffe://example/a;DNS=a.example'

#: What each proxy sends for a certificate that it has verified, in each form in which it may write it.
VERIFIED: list[tuple[str, Lines]] = [
    (
        "nginx",
        [
            ("X-SSL-CLIENT-S-DN", DN),
            ("X-SSL-Client-Verify", "SUCCESS"),
            ("X-SSL-Client-V-End", "Jan 31 12:00:00 2027 GMT"),
        ],
    ),
    (
        "apache",
        [
            ("X-SSL-CLIENT-S-DN", DN),
            ("X-SSL-Client-Verify", "SUCCESS"),
            ("X-SSL-Client-V-End", "Jan 31 12:00:00 2027 GMT"),
        ],
    ),
    (
        "haproxy",
        [("X-SSL-Client-DN", DN), ("X-SSL-Client-Verify", "0"), ("X-SSL-Client-Not-After", "270131120000Z")],
    ),
    (
        "haproxy",
        [
            ("X-SSL-Client-DN", f'"{DN}"'),
            ("X-SSL-Client-Verify", "0"),
            ("X-SSL-Client-Not-After", '"270131120000Z"'),
        ],
    ),
    (
        "haproxy",
        [
            ("X-SSL-Client-DN", '"/C=GB/O=Example/OU=Finance/CN=sender-a"'),
            ("X-SSL-Client-Verify", "0"),
            ("X-SSL-Client-Not-After", "20270131120000Z"),
        ],
    ),
    (
        "haproxy",
        [
            ("X-SSL-Client-DN", DN),
            ("X-SSL-Client-Verify", "SUCCESS"),
            ("X-SSL-Client-Not-After", "2027-01-31T12:00:00Z"),
        ],
    ),
    ("envoy", [("X-Forwarded-Client-Cert", XFCC)]),
    ("envoy", [("X-Forwarded-Client-Cert", f'Hash=ab;Cert="{quote(PEM, safe="")}"')]),
    ("envoy", [("x-forwarded-client-cert", f'hash=ab;cert="{quote(PEM, safe="")}";subject="{DN}"')]),
    ("envoy", [("X-Forwarded-Client-Cert", f'By=a;Hash=1;Subject="CN=first-hop",{XFCC}')]),
    ("envoy", [("X-Forwarded-Client-Cert", f'By=a;Subject="CN=x\\",y", Hash=2;Subject="{DN}"')]),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus(f"{INFO};{SECONDS}"))]),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", f"{INFO};{SECONDS}")]),
    (
        "traefik",
        [
            (
                "X-Forwarded-Tls-Client-Cert-Info",
                quote_plus(f'{INFO};Issuer="CN=ca";NB="1";{SECONDS};SAN="a,b",Subject="CN=ca"'),
            )
        ],
    ),
    (
        "aws-alb",
        [
            ("X-Amzn-Mtls-Clientcert-Subject", DN),
            ("X-Amzn-Mtls-Clientcert-Validity", "NotBefore=2023-09-21T01:50:17Z;NotAfter=2027-01-31T12:00:00Z"),
        ],
    ),
]
#: Headers with the whole certificate, and how each proxy writes it.
WHOLE = {
    "nginx": quote(PEM, safe=""),
    "apache": PEM.replace("\n", " "),
    "haproxy": BARE,
    "haproxy quoted": f'"{BARE}"',
    "traefik": f"{BARE},{BARE}",
    "traefik escaped": quote_plus(BARE),
    "aws-alb": quote(PEM, safe="+=/"),
    "go": quote_plus(PEM),
}


def certificate(
    dialect: str | IdentityNames, lines: Lines | list[tuple[bytes, bytes]], *, peer: str = PROXY
) -> Certificate:
    identity = DIALECTS[dialect] if isinstance(dialect, str) else dialect
    raw = [(_bytes(name), _bytes(value)) for name, value in lines]
    return read(raw, peer=peer, identity=identity).certificate


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def ids(cases: list[tuple[str, Lines]]) -> list[str]:
    return [f"{dialect}-{number}" for number, (dialect, _) in enumerate(cases)]


def whole(dialect: str, header: str = "x-certificate") -> IdentityNames:
    return replace(DIALECTS[dialect], dn=(), certificate=header)


@pytest.mark.parametrize(("dialect", "lines"), VERIFIED, ids=ids(VERIFIED))
def test_a_verified_certificate_is_read_in_every_form(dialect: str, lines: Lines) -> None:
    found = certificate(dialect, lines)
    assert found.verified, found.fault
    assert str(found.dn) == DN
    has_end = dialect != "envoy" or "ert=" in lines[0][1]
    assert found.expires == (END if has_end else None)


@pytest.mark.parametrize(("dialect", "lines"), VERIFIED, ids=ids(VERIFIED))
def test_s01_no_dialect_believes_a_stranger(dialect: str, lines: Lines) -> None:
    found = certificate(dialect, lines, peer=STRANGER)
    assert (found.presented, found.verified) == (False, False)
    assert not read([(_bytes(n), _bytes(v)) for n, v in lines], peer=STRANGER, identity=DIALECTS[dialect]).arguments


@pytest.mark.parametrize(("dialect", "lines"), VERIFIED, ids=ids(VERIFIED))
def test_s02_s38_a_doubled_header_counts_in_no_dialect(dialect: str, lines: Lines) -> None:
    for name, value in lines:
        for twin in (value, "CN=other", "", "NONE"):
            for doubled in ([*lines, (name, twin)], [(name.upper(), twin), *lines]):
                assert not certificate(dialect, doubled).verified


@pytest.mark.parametrize(("dialect", "lines"), VERIFIED, ids=ids(VERIFIED))
def test_a_cut_header_is_never_another_certificate(dialect: str, lines: Lines) -> None:
    """Whatever is left of a value, it is this name, a shorter text of it, or nothing."""
    name, value = lines[0]
    allowed = {DN[:length] for length in range(len(DN) + 1)} | {"CN=first-hop"}
    for end in range(len(value)):
        found = certificate(dialect, [(name, value[:end]), *lines[1:]])
        assert not found.verified or str(found.dn) in allowed


@pytest.mark.parametrize(("dialect", "lines"), VERIFIED, ids=ids(VERIFIED))
def test_bytes_that_are_no_text_are_not_verified(dialect: str, lines: Lines) -> None:
    name, value = lines[0]
    for bad in (b"\xff", b"\x01", b"\xed\xa0\x80"):
        raw = value.encode().replace(b"sender", bad + b"sender")
        if raw == value.encode():  # the whole certificate in base64 has no name to be seen
            raw = value.encode().replace(b"%2B", bad).replace(b"a", bad)
        assert not certificate(dialect, [(name, raw), *lines[1:]]).verified


@pytest.mark.parametrize("dialect", DIALECTS)
def test_empty_and_absent_headers_are_no_certificate(dialect: str) -> None:
    names = DIALECTS[dialect].stated
    for lines in ([], [(name, "") for name in names], [(name, "  ") for name in names]):
        assert not certificate(dialect, lines).presented
    assert not certificate(replace(DIALECTS[dialect], certificate="x-certificate"), []).presented


NOT_VERIFIED = [
    ("apache", [("X-SSL-CLIENT-S-DN", DN), ("X-SSL-Client-Verify", "GENEROUS")], "the proxy says GENEROUS"),
    ("apache", [("X-SSL-CLIENT-S-DN", DN), ("X-SSL-Client-Verify", "(null)")], "did not say whether"),
    ("apache", [("X-SSL-CLIENT-S-DN", DN), ("X-SSL-Client-Verify", "FAILED:expired")], "the proxy says FAILED"),
    ("nginx", [("X-SSL-CLIENT-S-DN", DN), ("X-SSL-Client-Verify", "0")], "the proxy says 0"),
    ("haproxy", [("X-SSL-Client-DN", DN), ("X-SSL-Client-Verify", "20")], "the proxy says error 20"),
    ("haproxy", [("X-SSL-Client-DN", DN), ("X-SSL-Client-Verify", "00")], "the proxy says error 00"),
    ("haproxy", [("X-SSL-Client-DN", DN), ("X-SSL-Client-Verify", "\u0660")], "the proxy says error"),
    ("haproxy", [("X-SSL-Client-DN", DN)], "did not say whether"),
    (
        "haproxy",
        [("X-SSL-Client-DN", DN), ("X-SSL-Client-Verify", "0"), ("X-SSL-Client-Not-After", "250131120000Z")],
        "expired",
    ),
    (
        "haproxy",
        [("X-SSL-Client-DN", DN), ("X-SSL-Client-Verify", "0"), ("X-SSL-Client-Not-After", "500131120000Z")],
        "expired",
    ),
    (
        "haproxy",
        [("X-SSL-Client-DN", DN), ("X-SSL-Client-Verify", "0"), ("X-SSL-Client-Not-After", "271331120000Z")],
        "expiry",
    ),
    ("haproxy", [("X-SSL-Client-DN", f'"{DN}'), ("X-SSL-Client-Verify", "0")], "cannot be read"),
    ("envoy", [("X-Forwarded-Client-Cert", "By=a;Hash=1")], "no Subject"),
    ("envoy", [("X-Forwarded-Client-Cert", 'Hash=1;Subject=""')], "no Subject"),
    ("envoy", [("X-Forwarded-Client-Cert", DN)], "disagree|cannot be read|no Subject"),
    ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{DN}";Subject="{DN}"')], "cannot be read"),
    ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{DN}",Hash=1')], "no Subject"),
    ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{DN}",')], "cannot be read"),
    ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{DN}" x')], "cannot be read"),
    ("envoy", [("X-Forwarded-Client-Cert", f'A=",Hash=1;Subject="{DN}"')], "cannot be read"),
    ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{DN}";Cert="{quote(OTHER_PEM, safe="")}"')], "disagree"),
    ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{DN}";Cert="{quote(ENDED_PEM, safe="")}"')], "expired"),
    ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{DN}";Cert="x"')], "cannot be read"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Issuer="CN=ca"'))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", DN)], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus(f"{INFO};{INFO}"))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus(f'{INFO};NA="1";{SECONDS}'))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus(f'{INFO};NA="1700000000"'))], "expired"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus(f'{INFO};NA="99999999999999999"'))], "expiry"),
    # Names that were made to look like other attributes: doubled, out of order, with signs that are not escaped.
    (
        "traefik",
        [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Subject="O=x,CN=sender-a,CN=evil"'))],
        "no Subject",
    ),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Subject="O=x,CN=sender-a,OU=y"'))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Subject="CN=Smith, John"'))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Subject="CN=a+O=b"'))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Subject="CN=a\\2c"'))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Subject="CN=a";CN="b"x'))], "no Subject"),
    ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus(quote_plus(INFO)))], "no Subject"),
    (
        "aws-alb",
        [
            ("X-Amzn-Mtls-Clientcert-Subject", DN),
            ("X-Amzn-Mtls-Clientcert-Validity", "NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-01-01T00:00:00Z"),
        ],
        "expired",
    ),
    (
        "aws-alb",
        [("X-Amzn-Mtls-Clientcert-Subject", DN), ("X-Amzn-Mtls-Clientcert-Validity", "NotBefore=x;NotAfter=")],
        "expiry",
    ),
    (
        "aws-alb",
        [
            ("X-Amzn-Mtls-Clientcert-Subject", DN),
            ("X-Amzn-Mtls-Clientcert-Validity", "NotAfter=2027-01-31T12:00:00Z;NotBefore=2023-09-21T01:50:17Z"),
        ],
        "expiry",
    ),
    ("aws-alb", [("X-Amzn-Mtls-Clientcert", quote(PEM, safe="+=/"))], "verifies none"),
    (
        "aws-alb",
        [("X-Amzn-Mtls-Clientcert", quote(PEM, safe="+=/")), ("X-Amzn-Mtls-Clientcert-Subject", DN)],
        "verifies none",
    ),
]


@pytest.mark.parametrize(
    ("dialect", "lines", "reason"),
    NOT_VERIFIED,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(NOT_VERIFIED)],
)
def test_what_is_not_certain_is_presented_but_not_verified(dialect: str, lines: Lines, reason: str) -> None:
    found = certificate(dialect, lines)
    assert (found.presented, found.verified) == (True, False)
    assert any(part in found.fault for part in reason.split("|")), found.fault


def test_apache_writes_null_for_nothing() -> None:
    names = ("X-SSL-CLIENT-S-DN", "X-SSL-Client-Verify", "X-SSL-Client-V-End")
    assert not certificate("apache", [(name, "(null)") for name in names]).presented
    assert not certificate("apache", [(names[0], "(null)"), (names[1], "NONE"), (names[2], "(null)")]).presented
    assert certificate("nginx", [(name, "(null)") for name in names]).presented, "other proxies do not"


def test_haproxy_says_success_where_there_is_no_certificate() -> None:
    lines = [("X-SSL-Client-DN", ""), ("X-SSL-Client-Verify", "0"), ("X-SSL-Client-Not-After", "")]
    assert not certificate("haproxy", lines).presented


def test_s38_of_several_hops_only_the_one_that_the_trusted_envoy_wrote_counts() -> None:
    forged = f'By=spiffe://portal;Hash=1;Subject="{DN}";URI=x'
    own = 'By=spiffe://portal;Hash=2;Subject="CN=evil"'
    found = certificate("envoy", [("X-Forwarded-Client-Cert", f"{forged},{own}")])
    assert (found.verified, str(found.dn)) == (True, "CN=evil")
    assert not certificate(
        "envoy", [("X-Forwarded-Client-Cert", forged), ("X-Forwarded-Client-Cert", own)]
    ).verified


@pytest.mark.parametrize("opening", ['A="', 'A="\\', 'A="b', "A", ";", ",", '"', 'Subject="', f'Subject="{DN}'])
def test_s38_an_open_quote_of_a_client_cannot_reach_into_what_envoy_appends(opening: str) -> None:
    own = 'By=spiffe://portal;Hash=2;Subject="CN=evil";URI=;DNS=evil.example'
    found = certificate("envoy", [("X-Forwarded-Client-Cert", f"{opening},{own}")])
    assert not found.verified or str(found.dn) == "CN=evil"


def test_quotes_and_commas_in_a_name_stay_in_it() -> None:
    found = certificate("envoy", [("X-Forwarded-Client-Cert", r'Hash=1;Subject="CN=a\"\;b\,Subject\=c,O=\C3\89"')])
    assert found.verified, found.fault
    assert found.dn is not None
    assert found.dn.parts == ((("CN", 'a";b,Subject=c'),), (("O", "É"),))


def test_names_with_other_letters_are_read_in_every_dialect() -> None:
    plain, escaped = "CN=Zoë,C=GB", "CN=Zo\\C3\\AB,C=GB"
    cases: list[tuple[str, Lines]] = [
        ("apache", [("X-SSL-CLIENT-S-DN", plain), ("X-SSL-Client-Verify", "SUCCESS")]),
        ("haproxy", [("X-SSL-Client-DN", f'"{escaped}"'), ("X-SSL-Client-Verify", "0")]),
        ("envoy", [("X-Forwarded-Client-Cert", f'Subject="{escaped}"')]),
        ("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus('Subject="C=GB,CN=Zoë"'))]),
        ("aws-alb", [("X-Amzn-Mtls-Clientcert-Subject", plain)]),
    ]
    for dialect, lines in cases:
        found = certificate(dialect, lines)
        assert (found.verified, str(found.dn)) == (True, plain), (dialect, found.fault)


def test_traefik_calls_the_serial_number_sn() -> None:
    info = 'Subject="DC=org,DC=example,C=GB,OU=a,OU=b,SN=SN=7,CN=x y"'
    found = certificate("traefik", [("X-Forwarded-Tls-Client-Cert-Info", quote_plus(info))])
    assert str(found.dn) == r"CN=x y,SERIALNUMBER=SN\=7,OU=b,OU=a,C=GB,DC=example,DC=org"


@pytest.mark.parametrize("written", WHOLE)
def test_a_whole_certificate_is_read_as_each_proxy_writes_it(written: str) -> None:
    lines = [("X-Certificate", WHOLE[written])]
    assert not certificate(whole("nginx"), lines).verified, "nginx passes on what it could not verify, too"
    found = certificate(whole("nginx"), [*lines, ("X-SSL-Client-Verify", "SUCCESS")])
    assert (found.verified, str(found.dn), found.expires) == (True, DN, END), found.fault
    found = certificate(whole("traefik"), lines)
    assert (found.verified, str(found.dn), found.expires) == (True, DN, END), found.fault
    for failed in ("FAILED:self-signed certificate", "GENEROUS"):
        assert not certificate(whole("nginx"), [*lines, ("X-SSL-Client-Verify", failed)]).verified
    assert not certificate(whole("nginx"), [*lines, ("X-SSL-Client-Verify", "NONE")]).presented


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "-----BEGIN CERTIFICATE-----",
        PEM.replace("-----END CERTIFICATE-----", "").replace("\n", ""),
        quote(PEM)[:-60],
        BARE[:-8],
        f"junk{quote(PEM)}",
        quote(ENDED_PEM),
        f" ,{BARE}",
        "%FF%00",
        f"{BARE[:100]}é{BARE[101:]}",
    ],
    ids=range(10),
)
def test_a_damaged_whole_certificate_is_not_verified(text: str) -> None:
    for dialect in DIALECTS:
        lines = [("X-Certificate", text), ("X-SSL-Client-Verify", "SUCCESS" if dialect != "haproxy" else "0")]
        found = certificate(whole(dialect), lines)
        assert (found.presented, found.verified) == (True, False), dialect


def test_s38_a_whole_certificate_and_a_name_must_both_be_there_and_agree() -> None:
    both = replace(DIALECTS["nginx"], certificate="x-certificate")
    verify, pem = ("X-SSL-Client-Verify", "SUCCESS"), ("X-Certificate", quote(PEM))
    dn = ("X-SSL-CLIENT-S-DN", "CN=sender-a, OU=Finance,O=Example,C=GB")
    assert certificate(both, [dn, verify, pem]).verified
    for lines in ([dn, verify], [pem, verify], [("X-SSL-CLIENT-S-DN", "CN=other"), verify, pem], [dn, pem]):
        found = certificate(both, lines)
        assert (found.presented, found.verified) == (True, False)
    assert "PORTAL_CERTIFICATE_HEADER" in certificate(both, [dn, verify]).fault
    assert "PORTAL_DN_HEADERS" in certificate(both, [pem, verify]).fault


def test_a_whole_certificate_is_not_kept_with_the_data() -> None:
    request = read({"X-Certificate": WHOLE["nginx"], "Feed": "A"}, peer=PROXY, identity=whole("traefik"))
    assert request.certificate.verified
    assert dict(request.arguments) == {"Feed": "A"}


def test_a_verify_header_that_is_named_has_to_say_success() -> None:
    named = replace(DIALECTS["envoy"], verify="x-verified")
    line = ("X-Forwarded-Client-Cert", XFCC)
    assert not certificate(named, [line]).verified
    assert not certificate(named, [line, ("X-Verified", "FAILED")]).verified
    assert certificate(named, [line, ("X-Verified", "SUCCESS")]).verified


def test_the_query_cannot_set_the_headers_of_a_dialect() -> None:
    for names in DIALECTS.values():
        identity = replace(names, certificate="x-certificate")
        query = "&".join(f"{name}={quote_plus(DN)}" for name in identity.stated)
        request = read((), query, peer=PROXY, identity=identity)
        assert not request.certificate.presented
        assert not request.arguments
