"""What identity headers say of a client certificate (contract, section 9)."""

from datetime import timedelta

import pytest

from feeds.rules.certificate import DOUBLED, read_certificate
from feeds.rules.decision import NO_CERTIFICATE
from tests.factories import DN, NOW
from tests.feeds.rules.heads import PROXY, judged, read

VERIFICATIONS = [
    # verify header, its absence allowed?, presented, verified
    ("SUCCESS", True, True, True),
    ("SUCCESS", False, True, True),
    (" SUCCESS ", True, True, True),
    ("NONE", True, False, False),
    ("NONE", False, False, False),
    ("FAILED:self signed certificate", True, True, False),
    ("FAILED:self signed certificate", False, True, False),
    ("FAILED", True, True, False),
    ("success", True, True, False),
    ("none", True, True, False),
    ("SUCCESS,SUCCESS", True, True, False),
    ("0", True, True, False),
    (None, True, True, False),
    (None, False, True, True),
    ("", True, True, False),
    ("", False, True, True),
    (" ", False, True, True),
]


@pytest.mark.parametrize(("verify", "required", "presented", "verified"), VERIFICATIONS)
def test_s03_a_dn_counts_only_with_success(
    verify: str | None, required: bool, presented: bool, verified: bool
) -> None:
    direct = read_certificate(DN, verify=verify, expiry=None, require_verify=required, now=NOW)
    headers = {"X-SSL-CLIENT-S-DN": DN} | ({} if verify is None else {"X-SSL-Client-Verify": verify})
    for certificate in (direct, read(headers, peer=PROXY, require_verify=required).certificate):
        assert (certificate.presented, certificate.verified) == (presented, verified)
        assert (certificate.dn is not None) is verified
        assert bool(certificate.fault) is (presented and not verified)


@pytest.mark.parametrize("dn", [None, "", " ", "\t"])
@pytest.mark.parametrize("verify", ["SUCCESS", "NONE", "FAILED:expired", None])
def test_s03_without_a_dn_there_is_no_certificate(dn: str | None, verify: str | None) -> None:
    assert judged(dn=dn, verify=verify) == NO_CERTIFICATE


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"conflict": DOUBLED}, "an identity header is given twice in the request"),
        ({"conflict": DOUBLED, "dn": None}, "an identity header is given twice in the request"),
        ({"conflict": DOUBLED, "verify": "NONE"}, "an identity header is given twice in the request"),
        ({"verify": "FAILED:unable to get\x1blocal issuer"}, "the proxy says FAILED:unable to get local issuer"),
        ({"verify": "F" * 300}, "the proxy says " + "F" * 200),
        ({"verify": None}, "the proxy did not say whether it verified the certificate"),
        ({"dn": "good"}, "the DN cannot be read: no = after the type good"),
        ({"dn": "CN=good\x00"}, "the DN cannot be read: it contains a control character"),
        ({"dn": "\u00a0"}, "the DN cannot be read: no attribute type at character 1"),
        ({"expiry": "soon"}, "its expiry cannot be read"),
        ({"expiry": "Nov 33 04:33:24 2026 GMT"}, "its expiry cannot be read"),
        ({"expiry": "Feb 24 18:10:27 2026 GMT"}, "it expired at 2026-02-24T18:10:27.000Z"),
        ({"expiry": "2026-02-24T18:10:27.192Z"}, "it expired at 2026-02-24T18:10:27.192Z"),
    ],
)
def test_a_certificate_that_does_not_count_says_why(changes: dict[str, object], fault: str) -> None:
    certificate = judged(**changes)
    assert (certificate.presented, certificate.verified, certificate.dn) == (True, False, None)
    assert certificate.fault == fault
    assert certificate.verified_dn is None


def test_a_certificate_is_expired_from_its_instant_on() -> None:
    assert judged(expiry="2026-02-24T18:10:27.193Z").verified
    assert judged(expiry="2026-02-24T18:10:27.193Z").expires == NOW + timedelta(milliseconds=1)
    expired = judged(expiry="2026-02-24T18:10:27.192Z")
    assert (expired.verified, expired.expires) == (False, NOW)


@pytest.mark.parametrize("expiry", [None, "", "  "])
def test_a_certificate_without_a_stated_expiry_counts(expiry: str | None) -> None:
    assert judged(expiry=expiry).expires is None
    assert judged(expiry=expiry).verified


def test_only_blanks_and_tabs_are_trimmed_from_what_a_proxy_says() -> None:
    headers = {"X-SSL-CLIENT-S-DN": "\t CN=XX \t", "X-SSL-Client-Verify": " SUCCESS\t"}
    for certificate in (read(headers, peer=PROXY).certificate, judged(dn="\t CN=XX \t", verify=" SUCCESS\t")):
        assert (certificate.verified, certificate.text) == (True, "CN=XX")
    assert not judged(verify="XSUCCESSX").verified
    assert not judged(verify="SUCCESS\u00a0").verified


def test_the_dn_is_kept_as_received_but_for_control_characters() -> None:
    assert judged(dn=" CN=a,  O=b ").text == "CN=a,  O=b"
    assert judged(dn="CN=a\x1b[31m\udc80").text == "CN=a [31m "


def test_s04_a_dn_in_other_bytes_than_utf_8_is_not_verified() -> None:
    own = [(b"X-SSL-Client-Verify", b"SUCCESS")]
    certificate = read([*own, (b"X-SSL-CLIENT-S-DN", b"CN=M\xfcller")], peer=PROXY).certificate
    assert (certificate.presented, certificate.verified) == (True, False)
    certificate.text.encode()
    assert read([*own, (b"X-SSL-CLIENT-S-DN", "CN=Müller".encode())], peer=PROXY).certificate.verified
    assert not read([*own, (b"X-SSL-Client-Verify", b"\xff")], peer=PROXY).certificate.verified


def test_s04_white_space_that_is_no_blank_belongs_to_the_name() -> None:
    own = {"X-SSL-Client-Verify": "SUCCESS"}
    certificate = read({**own, "X-SSL-CLIENT-S-DN": "O=b,CN=good\u00a0"}, peer=PROXY).certificate
    assert certificate.dn is not None
    assert certificate.dn.common_name == "good\u00a0"
