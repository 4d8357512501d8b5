"""Heads of requests as arguments, and which identity headers count (contract, sections 3, 9 and 12)."""

from datetime import UTC, datetime

import pytest

from feeds.rules import metadata
from feeds.rules.arguments import MAX_NAME_LENGTH, MAX_NAMES, MAX_VALUE_LENGTH, canonical_name
from feeds.rules.decision import NO_CERTIFICATE, Certificate
from feeds.rules.dn import parse_dn
from feeds.rules.metadata import Bearer, RequestMetadata, from_mapping
from feeds.rules.stored_metadata import merge_entry
from portal.http.client import IdentityNames
from tests.factories import DN
from tests.feeds.rules.heads import BOTH, IDENTITY, PROXY, STRANGER, Headers, judged, read


def arguments(headers: dict[str, str] | Headers = (), query: str | bytes = b"") -> dict[str, str]:
    return dict(read(headers, query).arguments)


# Section 3: names and values


@pytest.mark.parametrize("name", ["Feed", "feed", "FEED", "fEeD"])
def test_names_are_read_in_any_case(name: str) -> None:
    request = read({name: "A"})
    assert request.arguments == {"Feed": "A"}
    assert request.feed == request.get("feed") == request.get("FEED") == "A"
    assert request.get("System") is None


def test_names_and_values_are_trimmed() -> None:
    assert arguments({"Feed": "  A \t"}, "%20System%20=%20x%20") == {"Feed": "A", "System": "x"}


@pytest.mark.parametrize("blank", ["", " ", "\t", "\x00", "\x1f \x7f", "\u2028"])
def test_a_blank_value_counts_as_absent(blank: str) -> None:
    request = read([(b"Feed", blank.encode()), (b"System", b"x")])
    assert request.feed is None
    assert request.arguments == {"System": "x"}


def test_a_blank_value_in_the_query_leaves_the_header_alone() -> None:
    assert arguments({"Feed": "A"}, "Feed=") == {"Feed": "A"}
    assert arguments({"Feed": "A"}, "Feed=%20%00") == {"Feed": "A"}
    assert arguments({"Feed": "A"}, "Feed") == {"Feed": "A"}


def test_query_parameters_are_arguments_and_win() -> None:
    assert arguments({"feed": "A", "System": "x"}, "FEED=B") == {"Feed": "B", "System": "x"}


def test_of_a_repeated_query_parameter_the_last_wins() -> None:
    assert arguments((), "Feed=A&feed=B&FEED=C") == {"Feed": "C"}
    assert arguments((), "Feed=A&Feed=") == {"Feed": "A"}


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("System=M%C3%BCller", "Müller"),
        ("System=Müller".encode(), "Müller"),
        ("System=a+b%2Bc", "a b+c"),
        ("System=a%26b%3Dc", "a&b=c"),
        ("System=%FF", "\ufffd"),
        (b"System=\xff", "\ufffd"),
        ("System=a;b", "a;b"),
        ("System=%zz", "%zz"),
    ],
)
def test_the_query_is_percent_decoded_as_utf_8(query: str | bytes, value: str) -> None:
    assert arguments((), query) == {"System": value}


def test_a_header_is_utf_8_or_else_latin_1() -> None:
    headers = [(b"System", "Müller".encode()), (b"Component", "Müller".encode("latin-1"))]
    assert arguments(headers) == {"System": "Müller", "Component": "Müller"}


def test_a_repeated_header_is_one_value_joined_with_a_comma() -> None:
    assert read([(b"Feed", b"A"), (b"feed", b"B")]).feed == "A,B"
    assert read([(b"Feed", b"A"), (b"Feed", b"A")]).feed == "A,A"


PROTECTED = """
    RemoteDN RemoteCertExpiry RemoteAddress RemoteHost X-SSL-CLIENT-S-DN X-SSL-Client-Verify X-SSL-Client-V-End
    X-SSL-Anything X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host Authorization Cookie UploadUserId
    UploadUsername Host Content-Type Content-Encoding Content-Length Content-Anything Transfer-Encoding
    Stroom-Status Stroom-Error
""".split()
#: What somebody might write in a query to reach the same name in spite of the list.
DISGUISES = [
    "{}",
    " {}",
    "{} ",
    "{}\t",
    "{}\r\n",
    "\n{}",
    "{}\x00",
    "{}\x0b",
    "\x7f{}",
    "{}\x85",
    "{}\u00a0",
    "{}\u2028",
    "{}:x",
    "{}=",
]


@pytest.mark.parametrize("name", PROTECTED)
def test_s02_protected_names_never_come_from_the_query(name: str) -> None:
    from urllib.parse import quote

    spellings = {name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("s", "ſ").replace("S", "ſ")}
    for spelling in spellings | {name.replace("k", "\u212a").replace("K", "\u212a")}:
        for disguise in DISGUISES:
            query = f"{quote(disguise.format(spelling), safe='')}=forged&Feed=A"
            for peer in (PROXY, STRANGER):
                request = read((), query, peer=peer)
                assert request.arguments == {"Feed": "A"}, query
                assert request.certificate == NO_CERTIFICATE


def test_s02_configured_identity_names_are_protected_like_the_usual_ones() -> None:
    identity = IdentityNames(dn=("client-subject",), verify="client-verify", expiry="client-until")
    query = "Client-Subject=CN%3Dgood&client_verify=SUCCESS&CLIENT-UNTIL=x&Feed=A"
    assert read((), query, identity=identity).arguments == {"Feed": "A"}
    assert read((), query).arguments.keys() == {"Client-Subject", "Client_verify", "Client-Until", "Feed"}


def test_names_that_only_begin_like_protected_ones_are_taken() -> None:
    names = ["RemoteFile", "ContentType", "Hostname", "XSSL", "Authorizations", "StroomX"]
    assert len(arguments((), "&".join(f"{name}=1" for name in names))) == len(names)


def test_remote_address_and_protected_names_that_are_no_identity_may_come_as_headers() -> None:
    headers = {"RemoteAddress": "192.0.2.1", "RemoteHost": "a", "Host": "b", "Content-Type": "c", "Stroom-X": "d"}
    assert arguments(headers) == headers


@pytest.mark.parametrize(
    "name",
    [
        b"Feed ",
        b" Feed",
        b"Fe ed",
        b"Fe_ed",
        b"Feed\t",
        b"Feed\x00",
        b"Fe:ed",
        b"Feed:",
        b"",
        b"Fe\xffed",
        b"Feed\r",
    ],
)
def test_s02_what_is_not_a_header_name_for_every_reader_is_left_out(name: bytes) -> None:
    assert read([(name, b"A")]).arguments == {}


def test_query_names_may_have_an_underscore_but_nothing_that_ends_a_key() -> None:
    assert arguments((), "my_key=1&a%3Ab=2&a%0Ab=3&%C3%A9=4&a%20b=5") == {"My_key": "1"}


# Section 3.4: limits


def test_s09_two_hundred_names_are_kept_and_the_rest_is_marked() -> None:
    request = read({f"n{number}": "x" for number in range(MAX_NAMES)})
    assert (len(request.arguments), request.truncated) == (200, False)
    request = read({f"n{number}": "x" for number in range(MAX_NAMES + 1)})
    assert (len(request.arguments), request.truncated) == (200, True)
    assert request.get("n199") is not None
    assert request.get("n200") is None


def test_s09_a_known_name_may_still_change_when_the_limit_is_reached() -> None:
    request = read({f"n{number}": "x" for number in range(MAX_NAMES)}, "n7=y")
    assert (request.get("n7"), request.truncated) == ("y", False)


def test_s09_long_names_are_left_out_and_long_values_cut() -> None:
    fits, too_long = "n" * MAX_NAME_LENGTH, "m" * (MAX_NAME_LENGTH + 1)
    request = read({fits: "a" * MAX_VALUE_LENGTH, "Feed": "A"})
    assert (request.get(fits), request.truncated) == ("a" * 8192, False)
    request = read({too_long: "b"})
    assert (request.arguments, request.truncated) == ({}, True)
    request = read({"System": "a" * MAX_VALUE_LENGTH + "b"})
    assert (request.get("System"), request.truncated) == ("a" * 8192, True)
    assert read({"System": "a" * (MAX_VALUE_LENGTH - 1) + " b"}).get("System") == "a" * 8191


def test_s09_the_limits_are_those_of_the_contract() -> None:
    assert (MAX_NAMES, MAX_NAME_LENGTH, MAX_VALUE_LENGTH) == (200, 128, 8192)


def test_s09_from_a_mapping_the_limits_hold_too() -> None:
    described = from_mapping({f"n{number}": "x" for number in range(201)}, NO_CERTIFICATE, IdentityNames())
    assert (len(described.arguments), described.truncated) == (200, True)


def test_s09_a_crowd_of_names_pushes_out_none_that_means_something() -> None:
    crowd = {f"n{number}": "x" for number in range(MAX_NAMES)}
    meaning = {"Feed": "A", "Content-Encoding": "gzip", "streamsize": "7"}
    for request in (
        read({**crowd, **meaning}),
        read({**crowd, "Content-Encoding": "gzip"}, query=b"z=1&streamsize=7&Feed=A"),
        from_mapping({**crowd, **meaning}, NO_CERTIFICATE, IdentityNames()),
    ):
        assert (request.feed, request.content_encoding, request.get("StreamSize")) == ("A", "gzip", "7")
        assert (len(request.arguments), request.truncated) == (MAX_NAMES, True)
        assert (request.get("n196"), request.get("n197")) == ("x", None)


@pytest.mark.parametrize(
    "query",
    [
        b"&".join(b"n%d=1" % number for number in range(9000)),
        b"&".join(b"Feed=%d" % number for number in range(9000)),
        b"&".join(b"%%46eed=%d" % number for number in range(6000)),
        b"&" * 64_000,
    ],
    ids=["names", "values", "quoted names", "nothing"],
)
def test_s34_a_crowd_of_query_pairs_is_cut_before_it_is_cleaned(
    monkeypatch: pytest.MonkeyPatch, query: bytes
) -> None:
    """What is known is kept wherever it stands, and the last of its values counts."""
    spelled: list[str] = []
    real = canonical_name
    monkeypatch.setattr(metadata, "canonical_name", lambda name: spelled.append(name) or real(name))  # type: ignore[func-returns-value]
    request = read({"Content-Encoding": "gzip"}, query + b"&Feed=LAST&system=S")
    assert (request.feed, request.get("System"), request.content_encoding) == ("LAST", "S", "gzip")
    assert len(request.arguments) <= 203
    assert request.truncated is query.startswith(b"n0")
    assert len(spelled) <= 500


@pytest.mark.parametrize("blank", ["+", "%20", "+%20", "%C2%85", "%00", "%E2%80%A8"])
def test_a_blank_value_behind_another_leaves_that_alone(blank: str) -> None:
    assert arguments(query=f"Feed=A&feed={blank}") == {"Feed": "A"}


def test_s34_a_crowd_of_headers_is_cut_before_it_is_cleaned() -> None:
    headers = [(b"x-%d" % number, b"y") for number in range(5000)]
    request = read([*headers, (b"Feed", b"A")])
    assert request.feed == "A"
    assert request.truncated
    assert len(request.arguments) == 200


def test_a_described_name_that_stands_twice_is_one_value_with_a_comma() -> None:
    request = from_mapping({"Feed": "A", "X-Y": "1", "FEED": "A"}, NO_CERTIFICATE, IdentityNames())
    assert request.arguments == {"Feed": "A,A", "X-Y": "1"}


@pytest.mark.parametrize(
    "control", ["\x00", "\x07", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x9f", "\u2028", "\u2029"]
)
def test_s12_control_characters_in_values_become_blanks(control: str) -> None:
    assert arguments({"System": f"a{control}b"}) == {"System": "a b"}


def test_characters_beside_the_control_characters_stay() -> None:
    value = "~\u00a1\u00a0x\u2027\u202a !"
    assert arguments({"System": value}) == {"System": value}


# Section 3.5: what is dropped at once

SECRET = "authorization cookie proxy-authorization".split()


@pytest.mark.parametrize("name", SECRET)
@pytest.mark.parametrize("peer", [PROXY, STRANGER])
def test_s12_secrets_are_not_even_arguments(name: str, peer: str) -> None:
    for request in (
        read({name.upper(): "Bearer 0f3c", "Feed": "A"}, peer=peer),
        read({"Feed": "A"}, f"{name}=0f3c", peer=peer),
        from_mapping({name.title(): "0f3c", "Feed": "A"}, NO_CERTIFICATE, IdentityNames()),
    ):
        assert "0f3c" not in repr(request)
        assert request.arguments == {"Feed": "A"}
        assert request.stored() == {"Feed": "A"}
    assert merge_entry({}, {name: "0f3c"}, size=1) == {"StreamSize": "1"}


# Section 3.6: spelling

KNOWN = """
    Feed System Environment Compression EffectiveTime Type Format ContextFormat Schema SchemaVersion Encoding
    ContextEncoding Classification AccountId AccountName Component RemoteFile GUID ReceiptId ReceiptIdPath
    ReceivedTime ReceivedTimeHistory ReceivedPath RemoteAddress RemoteHost RemoteDN RemoteCertExpiry UploadUserId
    UploadUsername StreamSize
""".split()


@pytest.mark.parametrize("name", KNOWN)
def test_known_names_have_one_spelling(name: str) -> None:
    assert {canonical_name(spelling) for spelling in (name, name.lower(), name.upper())} == {name}


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ("x-my-name", "X-My-Name"),
        ("X-SSL-CLIENT-S-DN", "X-Ssl-Client-S-Dn"),
        ("userAgent", "Useragent"),
        ("my_key", "My_key"),
        ("a--b", "A--B"),
        ("1st", "1st"),
        ("größe", "Größe"),
        ("ſtroom-ſtatus", "ſtroom-ſtatus"),
        ("éa-éb", "éa-éb"),
        ("aé-bé", "Aé-Bé"),
        ("", ""),
    ],
)
def test_other_names_have_each_part_capitalised(given: str, spelled: str) -> None:
    assert canonical_name(given) == spelled
    assert canonical_name(spelled) == spelled


# Compression and Content-Encoding


@pytest.mark.parametrize(
    ("value", "is_gzip", "is_zip"),
    [
        (None, False, False),
        ("GZIP", True, False),
        ("gzip", True, False),
        (" Gzip ", True, False),
        ("ZIP", False, True),
        ("Zip", False, True),
        ("NONE", False, False),
        ("RAR", False, False),
        ("GZIP,GZIP", False, False),
    ],
)
def test_compression_is_read_whatever_its_case(value: str | None, is_gzip: bool, is_zip: bool) -> None:
    request = read({} if value is None else {"Compression": value})
    assert request.compression == (value and value.strip())
    assert (request.is_gzip, request.is_zip) == (is_gzip, is_zip)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(None, False), ("gzip", True), ("GZIP", True), ("x-gzip", True), ("identity", False), ("br", False)],
)
def test_a_content_encoding_has_to_be_undone_where_it_is_gzip(value: str | None, encoded: bool) -> None:
    request = read({} if value is None else {"Content-Encoding": value})
    assert request.content_encoding == value
    assert request.is_content_encoded is encoded


# Section 9: who may say who the sender is


def test_s01_a_trusted_proxy_names_the_certificate() -> None:
    request = read({"Feed": "A", **IDENTITY}, peer=PROXY)
    expires = datetime(2026, 11, 3, 4, 33, 24, tzinfo=UTC)
    assert request.certificate == Certificate(
        presented=True, verified=True, text=DN, dn=parse_dn(DN), expires=expires
    )
    assert request.certificate.verified_dn == DN
    assert request.notes == ()
    assert (request.peer, request.sender_address) == (PROXY, "198.51.100.7")
    assert request.get("UploadUserId") == "jo"


@pytest.mark.parametrize("peer", [STRANGER, "", None, "unix", "10.0.0.1 ", "::ffff:10.0.0.1", "not an address"])
def test_s01_from_any_other_peer_identity_is_ignored_removed_and_told(peer: str | None) -> None:
    request = read({"Feed": "A", **IDENTITY}, peer=peer)
    assert request.arguments == {"Feed": "A"}
    assert not request.certificate.presented
    assert request.certificate.verified_dn is None
    (note,) = request.notes
    assert "x-ssl-client-s-dn" in note
    assert f"the peer {peer or 'on the Unix socket'} is not a trusted proxy" in note
    assert request.certificate.fault == note
    assert request.sender_address == (peer or "")


@pytest.mark.parametrize("name", IDENTITY)
def test_s01_each_identity_header_alone_is_ignored(name: str) -> None:
    request = read({name: IDENTITY[name]})
    assert request.arguments == {}
    assert request.notes == (f"{name.lower()}: ignored, because the peer {STRANGER} is not a trusted proxy",)


def test_s01_names_that_are_ignored_are_told_in_order_and_briefly() -> None:
    request = read({"RemoteDN": "a", "X-Forwarded-For": "b", **{f"X-SSL-{'n' * n}": "c" for n in range(60)}})
    (note,) = request.notes
    assert note.startswith("remotedn, x-forwarded-for, x-ssl-, x-ssl-n,")
    assert len(note.removesuffix(f": ignored, because the peer {STRANGER} is not a trusted proxy")) == 300


def test_s01_a_request_without_identity_has_nothing_to_tell() -> None:
    request = read({"Feed": "A"})
    assert (request.notes, request.certificate) == ((), NO_CERTIFICATE)


def test_s01_nobody_is_trusted_by_an_empty_list() -> None:
    for peer in (PROXY, "", None, "127.0.0.1", "::1"):
        request = read(IDENTITY, peer=peer, trusts=lambda peer: False)
        assert request.certificate.verified_dn is None
        assert request.arguments == {}


@pytest.mark.parametrize(
    "spelling",
    [
        b"X_SSL_CLIENT_S_DN",
        b"X-SSL_CLIENT-S-DN",
        b"x_ssl-client-s-dn",
        b"X-SSL-CLIENT-S-DN ",
        b" X-SSL-CLIENT-S-DN",
        b"X-SSL-CLIENT-S-DN\t",
        b"\tX-SSL-CLIENT-S-DN",
        b"X-SSL-CLIENT-S-DN\x00",
        b"X-SSL-CLIENT-S-DN\r",
        b"\nX-SSL-CLIENT-S-DN",
        b"X-SSL-CLIENT-S-DN\x85",
        b"X-SSL-CLIENT-S-DN\xa0",
        b"X-SSL-CLIENT-S-DN:",
        b"X-\xdfL-CLIENT-S-DN",
        b"Remote_DN",
        b"RemoteDN ",
        b"R\xe9moteDN",
    ],
)
@pytest.mark.parametrize("peer", [PROXY, STRANGER])
def test_s02_no_spelling_slips_an_identity_past_the_proxy(spelling: bytes, peer: str) -> None:
    """The proxy sets its own headers; a client's disguised one must neither count nor be kept beside them."""
    own = [(b"X-SSL-Client-Verify", b"SUCCESS")]
    request = read([*own, (spelling, DN.encode())], peer=peer)
    assert not request.certificate.presented
    assert DN not in request.arguments.values()


@pytest.mark.parametrize(
    "spelling", ["x-ssl-client-s-dn", "X-SSL-CLIENT-S-DN", "X-Ssl-Client-S-Dn", "x-SSL-client-S-dN"]
)
def test_s02_the_case_of_an_identity_header_does_not_matter(spelling: str) -> None:
    assert not read({spelling: DN}).certificate.presented
    assert read({spelling: DN, "x-ssl-client-verify": "SUCCESS"}, peer=PROXY).certificate.verified


@pytest.mark.parametrize("name", ["X-SSL-CLIENT-S-DN", "RemoteDN", "X-SSL-Client-Verify", "X-SSL-Client-V-End"])
@pytest.mark.parametrize("again", ["same", "other", ""])
def test_s02_a_doubled_identity_header_is_not_verified(name: str, again: str) -> None:
    headers = [(key.encode(), value.encode()) for key, value in IDENTITY.items()]
    second = IDENTITY[name] if again == "same" else again
    request = read([*headers, (name.lower().encode(), second.encode())], peer=PROXY, identity=BOTH)
    assert (request.certificate.presented, request.certificate.verified) == (True, False)
    assert request.certificate.fault == "an identity header is given twice in the request"
    assert request.certificate.text == DN


def test_s02_a_doubled_header_that_is_no_identity_changes_nothing() -> None:
    headers = [(key.encode(), value.encode()) for key, value in IDENTITY.items()]
    assert read([*headers, (b"System", b"a"), (b"System", b"b")], peer=PROXY).certificate.verified


MISSING = "the header {} is missing: the proxy must set each name of PORTAL_DN_HEADERS"
DISAGREE = "the headers x-ssl-client-s-dn, remotedn disagree"
SOURCES = [
    ({"X-SSL-CLIENT-S-DN": DN, "RemoteDN": DN}, ""),
    ({"X-SSL-CLIENT-S-DN": DN, "RemoteDN": f" {DN}\t"}, ""),
    ({"X-SSL-CLIENT-S-DN": DN}, MISSING.format("remotedn")),
    ({"X-SSL-CLIENT-S-DN": DN, "RemoteDN": " "}, MISSING.format("remotedn")),
    ({"RemoteDN": DN}, MISSING.format("x-ssl-client-s-dn")),
    ({"X-SSL-CLIENT-S-DN": "", "RemoteDN": DN}, MISSING.format("x-ssl-client-s-dn")),
    ({"X-SSL-CLIENT-S-DN": DN, "RemoteDN": "CN=other"}, DISAGREE),
    ({"X-SSL-CLIENT-S-DN": DN, "RemoteDN": DN.replace(",", ", ")}, DISAGREE),
    ({"X-SSL-CLIENT-S-DN": DN, "RemoteDN": DN.lower()}, DISAGREE),
]


@pytest.mark.parametrize(("headers", "fault"), SOURCES)
@pytest.mark.parametrize("verify", ["SUCCESS", "FAILED:x", None])
def test_s38_several_names_of_the_dn_count_only_where_all_say_the_same(
    headers: dict[str, str], fault: str, verify: str | None
) -> None:
    told = headers if verify is None else {**headers, "X-SSL-Client-Verify": verify}
    certificate = read(told, peer=PROXY, identity=BOTH).certificate
    assert certificate.presented
    assert certificate.verified == (verify == "SUCCESS" and not fault)
    assert certificate.fault == fault or not fault


def test_s38_no_name_of_the_dn_is_no_certificate() -> None:
    for headers in ({}, {"X-SSL-CLIENT-S-DN": "", "RemoteDN": " "}, {"X-SSL-Client-Verify": "SUCCESS"}):
        assert read(headers, peer=PROXY, identity=BOTH).certificate == NO_CERTIFICATE


@pytest.mark.parametrize("peer", [PROXY, STRANGER])
def test_s38_a_user_signed_in_by_the_proxy_is_nobody_on_a_delivery(peer: str) -> None:
    identity = IdentityNames(signin="x-remote-user")
    request = read(
        {"X-Remote-User": "admin", "Feed": "A"}, "x_remote_user=a&X-Remote-User=b", peer=peer, identity=identity
    )
    assert request.arguments == {"Feed": "A"}
    assert request.certificate == NO_CERTIFICATE


def test_s38_a_name_that_is_not_configured_means_nothing() -> None:
    """gchq's own nginx sets the first name alone; it leaves it out where there is no certificate (F5)."""
    forged = {"RemoteDN": DN, "X-SSL-Client-Verify": "SUCCESS"}
    assert read(forged, peer=PROXY).certificate == NO_CERTIFICATE
    beside = read({**forged, "X-SSL-CLIENT-S-DN": "CN=own"}, peer=PROXY)
    assert beside.certificate.verified_dn == "CN=own"


def test_the_names_of_the_identity_headers_are_configurable() -> None:
    identity = IdentityNames(dn=("client-subject",), verify="client-verify", expiry="client-until")
    headers = {"Client-Subject": DN, "Client-Verify": "SUCCESS", "Client-Until": "2026-11-03T04:33:24Z"}
    certificate = read(headers, peer=PROXY, identity=identity).certificate
    assert certificate.verified
    assert certificate.expires == datetime(2026, 11, 3, 4, 33, 24, tzinfo=UTC)
    assert read({**IDENTITY}, peer=PROXY, identity=identity).certificate == NO_CERTIFICATE
    assert read(headers, identity=identity).arguments == {}


def test_the_usual_names_are_those_of_the_contract() -> None:
    assert IdentityNames() == IdentityNames(
        dn=("x-ssl-client-s-dn",), verify="x-ssl-client-verify", expiry="x-ssl-client-v-end"
    )


def test_a_request_made_elsewhere_is_by_default_without_anything_special() -> None:
    request = RequestMetadata({})
    assert (request.certificate, request.peer, request.sender_address) == (NO_CERTIFICATE, None, "")
    assert (request.truncated, request.notes) == (False, ())


# X-Forwarded-For


@pytest.mark.parametrize(
    ("forwarded", "sender"),
    [
        ([], PROXY),
        (["198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.0.0.2, 10.0.0.1"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        (["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        ([" , "], PROXY),
        ([","], PROXY),
        (["10.0.0.2,,"], "10.0.0.2"),
        (["a\x1bb"], "a b"),
        (["x" * 200], "x" * 128),
    ],
)
def test_the_sender_is_the_first_hop_that_is_not_ours(forwarded: list[str], sender: str) -> None:
    headers = [(b"X-Forwarded-For", value.encode()) for value in forwarded]
    assert read(headers, peer=PROXY).sender_address == sender


def test_on_a_trusted_unix_socket_the_sender_is_known_only_by_the_header() -> None:
    def trusts(peer: str | None) -> bool:
        return not peer

    assert read((), peer=None, trusts=trusts).sender_address == ""
    assert read({"X-Forwarded-For": "198.51.100.7"}, peer="", trusts=trusts).sender_address == "198.51.100.7"


# Section 12: described requests


def test_a_described_request_is_read_like_a_real_one() -> None:
    certificate = judged()
    described = {" feed ": " A ", "X-Y": "1", "system": None, "Type": "", "Fe_ed": "B", "a:b": "c"}
    request = from_mapping(described, certificate, IdentityNames())
    assert request.arguments == {"Feed": "A", "X-Y": "1"}
    assert (request.certificate, request.notes, request.truncated) == (certificate, (), False)
    assert (request.peer, request.sender_address) == (None, "")


def test_s01_identity_among_described_headers_is_ignored_and_told() -> None:
    identity = IdentityNames(dn=("client-subject",))
    request = from_mapping({**IDENTITY, "Client-Subject": "CN=x", "Feed": "A"}, NO_CERTIFICATE, identity)
    assert request.arguments == {"Feed": "A"}
    assert request.notes == (
        f"{', '.join([*IDENTITY, 'Client-Subject'])}: ignored, because the certificate is described separately",
    )


# Tokens of senders


def test_a_bearer_token_is_read_only_where_tokens_are_taken_and_never_becomes_an_argument() -> None:
    head = [(b"Feed", b"A"), (b"Authorization", b"bearer  abc.def")]
    assert read(head).bearer is None
    read_from_peer = read(head, takes_tokens=True)
    assert read_from_peer.bearer == Bearer("abc.def", address=STRANGER)
    assert "abc.def" not in str(read_from_peer.arguments)
    behind_proxy = read([*head, (b"X-Forwarded-For", b"198.51.100.7")], peer=PROXY, takes_tokens=True)
    assert behind_proxy.bearer == Bearer("abc.def", address="198.51.100.7")


def test_other_schemes_identify_nobody_and_several_headers_are_a_fault() -> None:
    basic, bearer = (b"Authorization", b"Basic am86cHc="), (b"Authorization", b"Bearer abc")
    assert read([basic], takes_tokens=True).bearer is None
    assert read([], takes_tokens=True).bearer is None
    for head in ([basic, bearer], [bearer, bearer]):
        several = read(head, takes_tokens=True).bearer
        assert several is not None
        assert (several.secret, several.fault) == ("", "the request has several Authorization headers")
