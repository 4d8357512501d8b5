"""What holds for every input: names, heads of requests, metadata and decisions, tried with thousands of odd ones.

The cases are the same every time, so that a failure is a change and not luck. SOAK_FACTOR=50 tries that many times
more, and new ones.
"""

import os
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from feeds.rules.arguments import (
    MAX_NAME_LENGTH,
    MAX_NAMES,
    MAX_VALUE_LENGTH,
    canonical_name,
    format_time,
    parse_time,
)
from feeds.rules.certificate import read_certificate
from feeds.rules.decision import (
    Certificate,
    CertificatePolicy,
    CertificateRuleSnapshot,
    FeedPolicy,
    FeedStatus,
    RuleAction,
)
from feeds.rules.decision import decide as decide_request
from feeds.rules.dn import BadDistinguishedName, DistinguishedName, parse_dn, rule_matches
from feeds.rules.metadata import RequestMetadata, read_request
from feeds.rules.stored_metadata import format_meta, merge_entry, parse_meta, stamp
from portal.http.client import IdentityNames
from tests.factories import NOW

SOAK_FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))


def tried(examples: int) -> settings:
    return settings(
        max_examples=examples * SOAK_FACTOR,
        derandomize=SOAK_FACTOR == 1,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# Distinguished names

KINDS = ("CN", "O", "OU", "C", "DC", "UID", "EMAILADDRESS", "1.2.3.4")
#: What matters to some reader of names, and a few ordinary letters.
TELLING = 'goodevilCNOU =,+/\\"<>;#.09é\u00a0🔑'
values = (st.text(TELLING, min_size=1, max_size=12) | st.text(min_size=1, max_size=6)).filter(
    lambda value: value.strip(" ") != "" and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value)
)
parts = st.dictionaries(st.sampled_from(KINDS), values, min_size=1, max_size=2)
subjects = st.lists(parts, min_size=1, max_size=4)  # from the most specific part on

Subject = list[dict[str, str]]


def meant(subject: Subject) -> DistinguishedName:
    return DistinguishedName(
        tuple(
            tuple(sorted((kind, re.sub(" +", " ", value).strip(" ")) for kind, value in part.items()))
            for part in subject
        )
    )


def like_nginx(subject: Subject) -> str:
    """The form of RFC 2253 as OpenSSL writes it: special characters by a backslash, others as hex pairs."""

    def escaped(value: str) -> str:
        text = re.sub(r'([,+"\\<>;])', r"\\\1", value)
        text = re.sub("[^\x00-\x7f]+", lambda match: "".join(f"\\{byte:02X}" for byte in match[0].encode()), text)
        text = re.sub(r"^[# ]", r"\\\g<0>", text)
        return re.sub(r"(?<=[^\\]) $", r"\\ ", text)

    return ",".join("+".join(f"{kind}={escaped(value)}" for kind, value in part.items()) for part in subject)


def like_java(subject: Subject) -> str:
    """Blanks after commas, quotes around values with special characters."""

    def quoted(value: str) -> str:
        if not re.search(r'[,+=<>#;"\\]|^ | $|  ', value):
            return value
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'

    return ", ".join(" + ".join(f"{kind}={quoted(value)}" for kind, value in part.items()) for part in subject)


def like_old_openssl(subject: Subject) -> str:
    return "".join(f"/{kind}={value}" for part in reversed(subject) for kind, value in part.items())


@tried(120)
@given(subjects)
@example([{"CN": "\\ "}])
@example([{"CN": " # "}])
def test_s04_names_are_read_back_from_every_writer_of_the_comma_form(subject: Subject) -> None:
    assert parse_dn(like_nginx(subject)) == meant(subject)
    assert parse_dn(like_java(subject)) == meant(subject)
    assert parse_dn(str(meant(subject))) == meant(subject)


@tried(120)
@given(subjects, st.sampled_from(["CN=good", "CN=good,O=o", "CN=good,O=o,C=GB", "O=good", "CN=good+UID=0"]))
def test_s04_a_sender_that_chooses_its_subject_never_matches_anothers_rule(subject: Subject, rule: str) -> None:
    wanted = parse_dn(rule)
    names = [dict(part)["CN"] for part in meant(subject).parts if "CN" in dict(part)]
    own = meant(subject) == wanted or (rule == "CN=good" and names[:1] == ["good"])
    for text in (like_nginx(subject), like_java(subject)):
        assert rule_matches(rule, parse_dn(text)) is own


@tried(150)
@given(subjects.filter(lambda subject: "CN" in [kind for part in subject for kind in part]))
@example([{"CN": "evil"}, {"O": "x/CN=good"}])
@example([{"O": "x/CN=good"}, {"CN": "evil"}])
@example([{"CN": "evil/CN=good"}])
@example([{"CN": "evil", "UID": "x/CN=good"}])
def test_s04_in_the_slash_form_a_common_name_cannot_be_replaced(subject: Subject) -> None:
    """Whoever has a common name cannot get another one by slashes in any value: the doubt is refused."""
    try:
        found = parse_dn(like_old_openssl(subject))
    except BadDistinguishedName:
        return
    names = [value for part in meant(subject).parts for kind, value in part if kind == "CN"]
    assert [value for part in found.parts for kind, value in part if kind == "CN"] in (
        names,
        [re.split(r"/(?=[A-Za-z0-9.-]+=)", name)[0].rstrip(" ") for name in names],  # cut off, never replaced
    )


@tried(150)
@given(
    st.text(max_size=40) | st.text(TELLING, max_size=40) | st.binary(max_size=30).map(lambda b: b.decode("latin-1"))
)
def test_s04_any_text_is_a_name_or_refused_and_what_is_read_stays_the_same(text: str) -> None:
    try:
        found = parse_dn(text)
    except BadDistinguishedName:
        return
    assert parse_dn(str(found)) == found
    assert all(value and not re.search(r"[\x00-\x1f\x7f]", value) for part in found.parts for _, value in part)
    assert rule_matches(text, found)


# Heads of requests

header_names = st.sampled_from(
    "Feed feed System X-SSL-CLIENT-S-DN x_ssl_client_s_dn RemoteDN X-SSL-Client-Verify X-SSL-Client-V-End "
    "X-Forwarded-For Authorization Cookie Compression Content-Encoding GUID ReceiptId Stroom-Status".split()
).map(str.encode) | st.binary(max_size=12)
header_values = st.sampled_from([b"CN=good", b"SUCCESS", b"NONE", b"A", b"", b"Bearer 0f3c"]) | st.binary(
    max_size=20
)
headers = st.lists(st.tuples(header_names, header_values), max_size=8)
queries = st.lists(st.tuples(header_names, header_values), max_size=5).map(
    lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()
) | st.binary(max_size=40)


def read(raw: list[tuple[bytes, bytes]], query: bytes, *, trusted: bool) -> RequestMetadata:
    return read_request(
        raw,
        query,
        peer="192.0.2.1",
        trusts=lambda peer: trusted and peer == "192.0.2.1",
        identity=IdentityNames(),
        require_verify=True,
        now=NOW,
    )


@tried(150)
@given(headers, queries)
def test_s02_no_head_of_a_stranger_makes_identity_count(raw: list[tuple[bytes, bytes]], query: bytes) -> None:
    request = read(raw, query, trusted=False)
    assert not request.certificate.presented
    assert request.sender_address == "192.0.2.1"
    assert not any(
        re.match(r"(?i)x[-_]ssl|x[-_]forw|remote[-_]?dn|upload[-_]?user", name) for name in request.arguments
    )


@tried(150)
@given(headers, queries, st.booleans())
def test_s09_every_head_becomes_bounded_clean_arguments(
    raw: list[tuple[bytes, bytes]], query: bytes, trusted: bool
) -> None:
    request = read(raw, query, trusted=trusted)
    assert len(request.arguments) <= MAX_NAMES
    for name, value in request.arguments.items():
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", name)
        assert canonical_name(name) == name
        assert value == value.strip() != ""
        assert len(value) <= MAX_VALUE_LENGTH
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", value)
        assert request.get(name.upper()) == value
    assert {"Authorization", "Cookie"}.isdisjoint(request.arguments)
    assert {"Authorization", "Cookie", "Compression", "Content-Encoding"}.isdisjoint(request.stored())
    repr(request).encode()


@tried(120)
@given(headers, queries, st.booleans())
def test_the_metadata_of_every_delivery_is_written_and_read_back_alike(
    raw: list[tuple[bytes, bytes]], query: bytes, trusted: bool
) -> None:
    request = read(raw, query, trusted=trusted)
    written = stamp(request, receipt_id="1771956627192_0001_P_a", now=NOW, host="a", size=1)
    assert parse_meta(format_meta(written)) == written
    assert ("RemoteDN" in written) is request.certificate.verified


@tried(120)
@given(headers, st.binary(max_size=30), st.binary(max_size=12), st.binary(max_size=30))
def test_s03_a_certificate_is_never_both_faulty_and_believed(
    raw: list[tuple[bytes, bytes]], dn: bytes, verify: bytes, expiry: bytes
) -> None:
    own = [(b"X-SSL-CLIENT-S-DN", dn), (b"X-SSL-Client-Verify", verify), (b"X-SSL-Client-V-End", expiry)]
    for certificate in (read(raw, b"", trusted=True).certificate, read(own, b"", trusted=True).certificate):
        assert not certificate.verified or (certificate.presented and certificate.dn and not certificate.fault)
        assert certificate.verified or certificate.dn is None
        assert bool(certificate.fault) is (certificate.presented and not certificate.verified)


@tried(100)
@given(st.text(max_size=30), st.text(max_size=12) | st.none(), st.text(max_size=30) | st.none(), st.booleans())
def test_a_certificate_in_any_text_is_judged_and_never_a_fault(
    dn: str, verify: str | None, expiry: str | None, require_verify: bool
) -> None:
    certificate = read_certificate(dn, verify=verify, expiry=expiry, require_verify=require_verify, now=NOW)
    repr(certificate).encode()


# Metadata entries

LINES = st.lists(
    st.sampled_from(
        ["Feed", "feed", "System", ":", ":", "A", "B", " ", "\n", "\n", "\r", "\r\n", "\t", "\x00", "\x1c"]
    )
    | st.sampled_from(["\x85", "\u2028", "\u00a0", "\ufeff", "\x0b", "\x0c", "x"]),
    max_size=24,
).map("".join)


def feed_as_java_reads_it(text: str) -> str | None:
    """Lines end with CR, LF or both; everything up to the blank is trimmed; the last of a key counts."""
    blank = "".join(map(chr, range(33)))
    feed = None
    for line in re.split(r"\r\n|\r|\n", text):
        key, colon, value = line.strip(blank).partition(":")
        if key.strip(blank).lower() == "feed":
            feed = value.strip(blank) if colon else None
    return feed


@tried(400)
@given(LINES)
@example("x\rFeed:A")
@example("\x00Feed:A")
@example("Feed:A\n\u00a0Feed:B")
def test_a_feed_that_stroom_would_see_in_an_entry_is_never_overlooked(text: str) -> None:
    """Ours may be more cautious (several feeds name none), but a feed that is read is one of those named."""
    theirs = feed_as_java_reads_it(text)
    ours = parse_meta(text.encode()).get("Feed", "")
    cleaned = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", (theirs or "").replace("\ufeff", "")).strip()
    assert not cleaned or cleaned in ours.split(",")


@tried(120)
@given(st.binary(max_size=200) | LINES.map(str.encode))
def test_s09_any_bytes_are_an_entry(data: bytes) -> None:
    found = parse_meta(data)
    for name, value in found.items():
        assert name == name.strip() != ""
        assert len(name) <= MAX_NAME_LENGTH
        assert canonical_name(name) == name
        assert not re.search(r"[\x00-\x1f]", name + value)
    assert parse_meta(format_meta(found)) == found
    merged = merge_entry({"Feed": "A", "GUID": "g"}, found, size=1)
    assert merged["Feed"]
    assert (merged["GUID"], merged["StreamSize"]) == ("g", "1")


@tried(100)
@given(st.text(max_size=20))
def test_a_name_has_one_spelling(name: str) -> None:
    once = canonical_name(name)
    assert canonical_name(once) == once
    if name.isascii():
        assert once.lower() == name.lower()


# Times

instants = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC))  # noqa: DTZ001


@tried(100)
@given(instants)
def test_times_survive_writing_and_reading_to_the_millisecond(moment: datetime) -> None:
    kept = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", format_time(moment))
    assert parse_time(format_time(moment)) == kept
    millis = (kept - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time(str(millis)) == kept
    assert parse_time(f"{moment:%b} {moment.day:2} {moment:%H:%M:%S} {moment.year:04} GMT") == moment.replace(
        microsecond=0
    )


@tried(120)
@given(st.text(max_size=30) | st.text("0123456789-T:.+Z W", max_size=30))
def test_any_text_is_a_time_in_utc_or_none(text: str) -> None:
    found = parse_time(text)
    assert found is None or found.tzinfo is UTC
    assert found is None or parse_time(format_time(found)) is not None


# The decision

instant_near = st.sampled_from([None, *(NOW + timedelta(microseconds=offset) for offset in (-1, 0, 1))])
rules = st.builds(
    CertificateRuleSnapshot,
    st.sampled_from(RuleAction),
    st.sampled_from(["CN=good", "CN=good,O=x", "CN=other", "not a name", ""]),
    instant_near,
)
policies = st.none() | st.builds(
    FeedPolicy,
    st.just("FEED"),
    st.sampled_from(FeedStatus),
    st.sampled_from(CertificatePolicy),
    st.lists(rules, max_size=4).map(tuple),
)
certificates = st.builds(
    Certificate,
    presented=st.booleans(),
    verified=st.booleans(),
    text=st.text(max_size=5),
    dn=st.sampled_from([None, parse_dn("CN=good,O=x"), parse_dn("CN=other")]),
    expires=instant_near,
)


@tried(400)
@given(policies, certificates, st.text(max_size=6) | st.none(), st.text(max_size=6) | st.none())
def test_nothing_is_accepted_without_every_condition(
    policy: FeedPolicy | None, certificate: Certificate, compression: str | None, content_encoding: str | None
) -> None:
    decision = decide_request(
        feed="FEED",
        certificate=certificate,
        compression=compression,
        content_encoding=content_encoding,
        policy=policy,
        now=NOW,
    )
    assert (decision.status.code == 0) is decision.accepted
    if not decision.accepted:
        assert decision.trace[-1].outcome == "stop"
        return
    assert policy is not None
    assert decision.action is policy.status is not FeedStatus.REJECT
    assert [step.step for step in decision.trace] == [1, 2, 3, 4, 5, 6, 7]
    assert (compression or "").strip().upper() in {"", "NONE", "ZIP", "GZIP"}
    assert (content_encoding or "").strip().lower() in {"", "identity", "gzip", "x-gzip"}
    if policy.certificate_policy is CertificatePolicy.NONE:
        return
    assert certificate.presented
    assert certificate.verified
    assert certificate.dn is not None
    assert certificate.expires is None or certificate.expires > NOW
    matching = {
        rule.action
        for rule in policy.rules
        if (rule.expires is None or rule.expires > NOW) and rule_matches(rule.subject_dn, certificate.dn)
    }
    assert RuleAction.DENY not in matching
    assert policy.certificate_policy is CertificatePolicy.REQUIRED or RuleAction.ALLOW in matching


@tried(100)
@given(policies, certificates)
def test_more_rules_of_one_kind_only_move_a_decision_one_way(
    policy: FeedPolicy | None, certificate: Certificate
) -> None:
    assume(policy is not None and policy.rules)
    assert policy is not None

    def accepted(kept: tuple[CertificateRuleSnapshot, ...]) -> bool:
        changed = FeedPolicy(policy.name, policy.status, policy.certificate_policy, kept)
        return decide_request(
            feed="FEED", certificate=certificate, compression=None, content_encoding=None, policy=changed, now=NOW
        ).accepted

    without = accepted(policy.rules[:-1])
    with_last = accepted(policy.rules)
    if policy.rules[-1].action is RuleAction.DENY:
        assert without or not with_last
    else:
        assert with_last or not without
