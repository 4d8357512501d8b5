"""Distinguished names: what is read, what is refused, what matches (demand S4; contract, section 9).

In the tables a name is written for people: parts from the most specific on with `|` between them, the attributes
of one part with `&`, values as they are, without any escapes.
"""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier

from feeds.rules.dn import MAX_LENGTH, MAX_PARTS, BadDistinguishedName, DistinguishedName, parse_dn, rule_matches


def name(notation: str) -> DistinguishedName:
    """Read the notation of this file's tables."""
    parts = []
    for part in notation.split("|"):
        pairs = (attribute.partition("=") for attribute in part.split("&"))
        parts.append(tuple(sorted((kind, value) for kind, _, value in pairs)))
    return DistinguishedName(tuple(parts))


#: Every spelling of an attribute type that means the same.
SAME_TYPE = {
    "CN": ["CN", "cn", "Cn", "commonName", "COMMONNAME", "2.5.4.3", "OID.2.5.4.3", "oid.2.5.4.3"],
    "SN": ["SN", "sn", "surname", "2.5.4.4"],
    "SERIALNUMBER": ["serialNumber", "SERIALNUMBER", "2.5.4.5"],
    "C": ["C", "c", "countryName", "2.5.4.6"],
    "L": ["L", "l", "localityName", "2.5.4.7"],
    "ST": ["ST", "st", "S", "stateOrProvinceName", "2.5.4.8"],
    "STREET": ["STREET", "street", "streetAddress", "2.5.4.9"],
    "O": ["O", "o", "organizationName", "2.5.4.10", "OID.2.5.4.10"],
    "OU": ["OU", "ou", "organizationalUnitName", "2.5.4.11"],
    "TITLE": ["title", "T", "2.5.4.12"],
    "DESCRIPTION": ["description", "2.5.4.13"],
    "BUSINESSCATEGORY": ["businessCategory", "2.5.4.15"],
    "POSTALCODE": ["postalCode", "2.5.4.17"],
    "NAME": ["name", "2.5.4.41"],
    "GN": ["GN", "givenName", "2.5.4.42"],
    "INITIALS": ["initials", "2.5.4.43"],
    "GENERATIONQUALIFIER": ["generationQualifier", "GENERATION", "2.5.4.44"],
    "DNQUALIFIER": ["dnQualifier", "DNQ", "2.5.4.46"],
    "PSEUDONYM": ["pseudonym", "2.5.4.65"],
    "ORGANIZATIONIDENTIFIER": ["organizationIdentifier", "2.5.4.97"],
    "UID": ["UID", "uid", "userId", "0.9.2342.19200300.100.1.1"],
    "DC": ["DC", "dc", "domainComponent", "0.9.2342.19200300.100.1.25"],
    "EMAILADDRESS": ["emailAddress", "EMAILADDRESS", "E", "e", "email", "1.2.840.113549.1.9.1"],
    "UNSTRUCTUREDNAME": ["unstructuredName", "1.2.840.113549.1.9.2"],
}

READ = {
    # Examples of the RFCs
    "UID=jsmith,DC=example,DC=net": "UID=jsmith|DC=example|DC=net",
    "OU=Sales+CN=J.  Smith,DC=example,DC=net": "OU=Sales&CN=J. Smith|DC=example|DC=net",
    r"CN=James \"Jim\" Smith\, III,DC=example,DC=net": 'CN=James "Jim" Smith, III|DC=example|DC=net',
    r"CN=Lu\C4\8Di\C4\87": "CN=Lučić",
    "CN=Steve Kille,O=Isode Limited,C=GB": "CN=Steve Kille|O=Isode Limited|C=GB",
    "OU=Sales+CN=J. Smith,O=Widget Inc.,C=US": "OU=Sales&CN=J. Smith|O=Widget Inc.|C=US",
    r"CN=L. Eagle,O=Sue\, Grabbit and Runn,C=GB": "CN=L. Eagle|O=Sue, Grabbit and Runn|C=GB",
    'CN=L. Eagle,O="Sue, Grabbit and Runn",C=GB': "CN=L. Eagle|O=Sue, Grabbit and Runn|C=GB",
    # Plain, and with blanks
    "CN=a": "CN=a",
    "CN=a,O=b,C=GB": "CN=a|O=b|C=GB",
    "CN=a, O=b, C=GB": "CN=a|O=b|C=GB",
    "CN=a,  O=b,   C=GB": "CN=a|O=b|C=GB",
    "CN = a, O = b, C = GB": "CN=a|O=b|C=GB",
    "CN=a ,O=b , C=GB ": "CN=a|O=b|C=GB",
    "   CN=a,O=b   ": "CN=a|O=b",
    "CN=two  words": "CN=two words",
    "CN=two   words   more": "CN=two words more",
    r"CN=\ a\ ": "CN=a",
    r"CN=\20a\20": "CN=a",
    'CN=" a "': "CN=a",
    # The same attribute several times in different parts, in the order given
    "OU=a,OU=b,OU=c": "OU=a|OU=b|OU=c",
    "CN=a,CN=b": "CN=a|CN=b",
    # Multi-valued parts: a set, so the order is of no account
    "CN=a+UID=b,O=c": "CN=a&UID=b|O=c",
    "UID=b+CN=a,O=c": "CN=a&UID=b|O=c",
    "UID=b + CN=a, O=c": "CN=a&UID=b|O=c",
    "O=c,OU=x+UID=b+CN=a": "O=c|OU=x&UID=b&CN=a",
    # Escapes by a backslash
    r"CN=a\,b": "CN=a,b",
    r"CN=a\+b": "CN=a+b",
    r"CN=a\"b": 'CN=a"b',
    r"CN=a\\b": "CN=a\\b",
    r"CN=a\<b": "CN=a<b",
    r"CN=a\>b": "CN=a>b",
    r"CN=a\;b": "CN=a;b",
    r"CN=a\=b": "CN=a=b",
    r"CN=\#a": "CN=#a",
    r"CN=a\#b": "CN=a#b",
    r"CN=a\ b": "CN=a b",
    "CN=a=b": "CN=a=b",
    "CN=a#b": "CN=a#b",
    r"CN=a\\\,b": "CN=a\\,b",
    r"CN=a\\,O=b": "CN=a\\|O=b",
    # Hex pairs, alone and as UTF-8
    r"CN=\61": "CN=a",
    r"CN=\2C": "CN=,",
    r"CN=\2c": "CN=,",
    r"CN=M\C3\BCller": "CN=Müller",
    r"CN=M\c3\bcller": "CN=Müller",
    r"CN=M\C3\BCller\, A,O=b": "CN=Müller, A|O=b",
    r"CN=\E2\82\AC": "CN=€",
    r"CN=\F0\9F\94\91": "CN=🔑",
    r"CN=\5C": "CN=\\",
    r"CN=\5C\2C": "CN=\\,",
    "CN=Müller": "CN=Müller",
    "CN=Мария,O=Завод": "CN=Мария|O=Завод",
    "CN=山田": "CN=山田",
    # Quoted values
    'CN="a,b"': "CN=a,b",
    'CN="a+b=c"': "CN=a+b=c",
    'CN="a;b<c>d"': "CN=a;b<c>d",
    r'CN="a\"b"': 'CN=a"b',
    r'CN="a\\b"': "CN=a\\b",
    r'CN="M\C3\BCller"': "CN=Müller",
    'CN="a" , O="b"': "CN=a|O=b",
    'CN="a"+UID="b"': "CN=a&UID=b",
    'CN="#a"': "CN=#a",
    'CN="a  b"': "CN=a b",
    # Values given as BER, of the kinds of string whose bytes are their text
    "CN=#0C0161": "CN=a",
    "CN=#0c0161": "CN=a",
    "CN=#130161": "CN=a",
    "CN=#140161": "CN=a",
    "CN=#160161": "CN=a",
    "CN=#1A0161": "CN=a",
    "CN=#120137": "CN=7",
    "CN=#0C02C3BC": "CN=ü",
    "CN=#0C0161,O=b": "CN=a|O=b",
    "CN=#0C0161 , O=b": "CN=a|O=b",
    "CN=#0C0161+UID=b": "CN=a&UID=b",
    "1.2.840.113549.1.9.1=#1603614062,CN=a": "EMAILADDRESS=a@b|CN=a",
    "2.5.4.97=#0C0161": "ORGANIZATIONIDENTIFIER=a",
    "CN=#0C7F" + "61" * 127: "CN=" + "a" * 127,
    # Letters at the ends of a value are no blanks
    "CN=XaX": "CN=XaX",
    "/O=X/CN=X": "CN=X|O=X",
    # Types that we do not know are compared by their own spelling
    "1.2.3.4=a,CN=b": "1.2.3.4=a|CN=b",
    "OID.1.2.3.4=a": "1.2.3.4=a",
    "0.1=a": "0.1=a",
    "1.20.300=a": "1.20.300=a",
    "x-our-type=a": "X-OUR-TYPE=a",
    # The slash form
    "/CN=a": "CN=a",
    "/C=GB/O=b/CN=a": "CN=a|O=b|C=GB",
    "/c=GB/o=b/cn=a": "CN=a|O=b|C=GB",
    "/C=GB/O=b/OU=x/OU=y/CN=a": "CN=a|OU=y|OU=x|O=b|C=GB",
    "/DC=net/DC=example/CN=a": "CN=a|DC=example|DC=net",
    "/C=GB/O=b/CN=a/emailAddress=a@example.org": "EMAILADDRESS=a@example.org|CN=a|O=b|C=GB",
    "/C=GB/O=Sue, Grabbit and Runn/CN=a": "CN=a|O=Sue, Grabbit and Runn|C=GB",
    "/CN=http/server.example.org": "CN=http/server.example.org",
    "/CN=a/b/c": "CN=a/b/c",
    "/CN=a/ b=c": "CN=a/ b=c",
    "/CN=a+b": "CN=a+b",
    "/CN=a=b": "CN=a=b",
    '/CN="a"': 'CN="a"',
    "/CN=#a": "CN=#a",
    "/2.5.4.3=a": "CN=a",
    "/OID.2.5.4.3=a": "CN=a",
    "/O=b/1.2.3.4=x": "1.2.3.4=x|O=b",
    "  /O=b/CN=a  ": "CN=a|O=b",
    "/O=two  words/CN=a": "CN=a|O=two words",
    "/CN=Müller": "CN=Müller",
    # A slash in the comma form is a character like any other
    "CN=a/O=b": "CN=a/O=b",
    "CN=evil/CN=good": "CN=evil/CN=good",
    "CN=host/a.example.org,O=b": "CN=host/a.example.org|O=b",
} | {f"{spelling}=x": f"{kind}=x" for kind, spellings in SAME_TYPE.items() for spelling in spellings}

REFUSED = [
    # Nothing, or nothing of substance
    "",
    " ",
    "CN",
    "CN=",
    "CN= ",
    "=a",
    "CN=,O=b",
    "CN=a,O=",
    "CN=+UID=b",
    'CN=""',
    'CN=" "',
    r"CN=\ ",
    r"CN=\20",
    "CN=#0C00",
    "/",
    "//",
    "/CN=",
    "/CN=/O=b",
    "/CN= /O=b",
    "a",
    "good",
    # Separators without parts
    "CN=a,",
    ",CN=a",
    "CN=a,,O=b",
    "CN=a,O=b,",
    "CN=a+",
    "+CN=a",
    "CN=a++UID=b",
    "CN=a+,O=b",
    "CN=a,+O=b",
    ";CN=a",
    "//CN=a",
    "/a/CN=b",
    "/a",
    # Another separator, or characters that have to be escaped
    "CN=a;O=b",
    "CN=a<b",
    "CN=a>b",
    'CN=a"b',
    'CN=a"',
    'CN="a',
    'CN="a\\"',
    'CN="a"b',
    'CN="a"=b',
    "CN=a+b",
    # Backslashes that mean nothing
    "CN=a\\",
    r"CN=\z",
    r"CN=\X",
    r"CN=\4",
    r"CN=\4g",
    r"CN=\x41",
    r"CN=\n",
    'CN="a\\z"',
    r"CN\,=a",
    r"CN\=a",
    # Bytes that are not UTF-8
    r"CN=\FF",
    r"CN=\C3",
    r"CN=M\FCller",
    r"CN=\C0\AFgood",  # an over-long slash
    r"CN=\ED\A0\80",  # a surrogate
    "CN=#0C01FF",
    # Control characters, plain and escaped: NUL, tab, line ends, escape, delete
    "CN=good\x00.evil",
    "CN=good\x00",
    "CN=good\r\nX-Header: a",
    "CN=good\n",
    "\nCN=good",
    "CN=good\r",
    "CN=good\t",
    "\tCN=good",
    "CN=go\x1bod",
    "CN=good\x7f",
    "CN=good\x1f",
    "CN=good\ud800",
    "CN=good\udfff",
    "\udc80",
    r"CN=good\00",
    r"CN=good\00.evil",
    r"CN=good\0D\0A",
    r"CN=good\0a",
    r"CN=good\1F",
    r"CN=good\7F",
    r"CN=Before\0dAfter,DC=example,DC=net",
    'CN="good\\00"',
    "CN=#0C0500676F6F64",
    "/CN=good\x00",
    # BER that is no short character string
    "CN=#",
    "CN=#0",
    "CN=#0C",
    "CN=#0C016",
    "CN=#0C0161zz",
    "CN=#0C016162",
    "CN=#0C0261",
    "CN=#zz",
    "CN=#0C 0161",
    "CN=#0C0161 b",
    "1.3.6.1.4.1.1466.0=#04024869",
    "CN=#02010A",
    "CN=#1E020061",
    "CN=#0C8180" + "61" * 128,
    "CN=#0C81" + "80" + "61" * 127,
    "CN=#0C80" + "61" * 128,
    "CN=#1301FF",
    "CN=#1302C3BC",  # a printable string is ASCII; taking it for UTF-8 would be a guess
    "CN=#1401E9",
    "CN=#160180",
    # Types that are none
    "C N=a",
    "1=a",
    "2.5.4.=a",
    "2..5=a",
    ".2.5=a",
    "2.5.4.03=a",
    "02.5.4.3=a",
    "OID.CN=a",
    "OID.=a",
    "OID2.5.4.3=a",
    "-x=a",
    "_x=a",
    "C_N=a",
    "Ć=a",
    "ſN=a",  # the long s, which is an S to upper()
    "ſ=a",
    "2.5.4.\u0663=a",  # an Arabic three
    "\u212b=a",
    "CN\u00a0=a",
    "\u00a0CN=a",
    "CN:a",
    # The same type twice in one part
    "CN=good+CN=evil",
    "CN=good+cn=good",
    "CN=good+2.5.4.3=evil,O=b",
    "UID=x+CN=good+commonName=evil",
    # The slash form where it leaves a doubt
    "/CN=evil/CN=good",
    "/C=GB/O=b/CN=good/CN=evil",
    "/O=x/O=y/CN=good",
    "/CN=a/2.5.4.3=b",
    "/CN=a/commonName=b",
    "/emailAddress=a/CN=b/E=c",
    "/C=GB/CN=a+UID=b",
    "/CN=a+2.5.4.45=b",
    r"/CN=M\xC3\xBCller",
    r"/CN=a\/O=b",
    "/CN=a\\",
    r"/CN=a\,b",
]

MATCHES = [
    ("CN=good", "CN=good,O=b,C=GB"),
    ("CN=good", "O=b,CN=good"),
    ("CN=good", "CN=good,CN=other"),  # the most specific counts
    ("CN=good", "CN=good+UID=7,O=b"),
    ("CN=good", "/C=GB/O=b/CN=good"),
    ("/CN=good", "CN=good,O=b"),
    ("cn = good", "2.5.4.3=good,O=b"),
    ("CN=two words", "CN=two   words,O=b"),
    ("CN=good,O=b,C=GB", "CN=good,O=b,C=GB"),
    ("CN=good, O=b, C=GB", "cn=good,o=b,c=GB"),
    ("CN=good,O=b,C=GB", "/C=GB/O=b/CN=good"),
    ("/C=GB/O=b/CN=good", "CN=good,O=b,C=GB"),
    (r"CN=good,O=Sue\, Grabbit,C=GB", 'CN=good,O="Sue, Grabbit",C=GB'),
    (r"CN=M\C3\BCller,O=b", "CN=Müller,O=b"),
    ("CN=#0C04676F6F64,O=b", "CN=good,O=b"),
    ("E=a@b,CN=good", "emailAddress=a@b,CN=good"),
    ("E=a@b,CN=good", "1.2.840.113549.1.9.1=#1603614062,CN=good"),
    ("CN=good+UID=7,O=b", "UID=7+CN=good,O=b"),
    ("OU=x,O=b", "OU=x,O=b"),
]

#: Rule and certificate that must not match: most are what a sender who may choose its subject would try.
STRANGERS = [
    ("CN=good", r"CN=evil\,CN=good,O=b"),
    ("CN=good", r"CN=good\,CN=evil,O=b"),
    ("CN=good", r"O=x\,CN=good"),
    ("CN=good", r"O=x\,CN=good,CN=evil"),
    ("CN=good", r"O=CN=good,CN=evil"),
    ("CN=good", 'O="x,CN=good",CN=evil'),
    ("CN=good", 'CN="evil,CN=good"'),
    ("CN=good", r"CN=evil\2CCN=good"),
    ("CN=good", r"CN=evil\2BCN=good"),
    ("CN=good", r"CN=evil\+CN=good"),
    ("CN=good", r"CN=evil\\,O=CN=good"),
    ("CN=good", "CN=evil/CN=good,O=b"),
    ("CN=good", "CN=evil,CN=good"),
    ("CN=good", "O=b/CN=good,CN=evil"),
    ("CN=good", "CN=good/O=b"),
    ("CN=good", "/O=CN=good/CN=evil"),
    ("CN=good", "/CN=evil,CN=good"),
    ("CN=good", "/CN=good,O=b"),
    ("CN=good", "/O=b, CN=good/CN=evil"),
    ("CN=good", "CN=Good,O=b"),
    ("CN=good", "CN=GOOD,O=b"),
    ("CN=good", "CN=good.example.org"),
    ("CN=good", "CN=goo"),
    ("CN=good", "CN=g ood"),
    ("CN=good", r"CN=\#good"),
    ("CN=good", r"CN=\"good\""),
    ("CN=good", "CN=good\u00a0,O=b"),
    ("CN=good", "O=b,CN=good\u00a0"),
    ("CN=good", "O=b,CN=good\u2003"),
    ("CN=good", "/O=b/CN=good\u00a0"),
    ("CN=good", "CN=\u00a0good"),
    ("CN=good", "O=b,CN=good\u0085"),
    ("CN=good", "CN=good\u200b"),
    ("CN=good", "CN=\ufeffgood"),
    ("CN=good", "CN=gооd"),  # Cyrillic
    ("CN=good", "CN=ｇood"),  # full width
    ("CN=good", "UID=good,CN=evil"),
    ("CN=good", "DNQUALIFIER=good,CN=evil"),
    ("CN=good", "O=good"),
    ("CN=good", "O=b,C=GB"),
    ("CN=good", r"CN=#0C04676F6F65"),
    ("CN=good", "2.5.4.4=good"),
    ("CN=good", "2.5.4.3.1=good"),
    ("CN=é", "CN=e\u0301"),
    ("CN=é", "CN=e"),
    ("CN=#0C04676F6F64", r"CN=\#0C04676F6F64"),
    ("CN=good,O=b,C=GB", "CN=good,O=b"),
    ("CN=good,O=b", "CN=good,O=b,C=GB"),
    ("CN=good,O=b,C=GB", "CN=good,C=GB,O=b"),
    ("CN=good,O=b,C=GB", "C=GB,O=b,CN=good"),
    ("CN=good,O=b,C=GB", "/CN=good/O=b/C=GB"),
    ("CN=good,O=b,C=GB", "CN=good,O=b,C=gb"),
    ("CN=good,O=b", r"CN=good\,O=b"),
    ("CN=good,O=b", "CN=good+O=b"),
    ("CN=good+O=b", "CN=good,O=b"),
    ("CN=good,O=b,C=GB", "CN=good,OU=x,O=b,C=GB"),
    ("CN=good+UID=7", "CN=good,O=b"),
    ("CN=good+UID=7", "CN=good"),
    ("O=b", "CN=good,O=b"),  # only a CN may stand alone for a whole name
    ("UID=7", "UID=7,O=b"),
    ("", "CN=good"),
    ("*", "CN=good"),
    ("CN=*", "CN=good"),
    ("CN=.*", "CN=good"),
    ("good", "CN=good"),
    ("CN=", "CN=good"),
    ("CN=good,", "CN=good"),
    ("/CN=good/CN=good", "CN=good"),
]


def read(text: str) -> DistinguishedName | None:
    try:
        return parse_dn(text)
    except BadDistinguishedName:
        return None


def test_s04_there_are_at_least_200_vectors() -> None:
    crafted = {text for _, text in STRANGERS} | set(REFUSED)
    assert len(set(READ) | crafted) >= 350
    assert len(set(REFUSED)) == len(REFUSED)


@pytest.mark.parametrize(("text", "notation"), READ.items())
def test_s04_a_name_is_read_as_its_list_of_attribute_sets(text: str, notation: str) -> None:
    assert parse_dn(text) == name(notation)


@pytest.mark.parametrize("text", REFUSED)
def test_s04_what_is_not_certainly_a_name_is_refused_and_matches_nothing(text: str) -> None:
    with pytest.raises(BadDistinguishedName) as refusal:
        parse_dn(text)
    assert len(str(refusal.value)) < 120
    assert rule_matches(text, name("CN=good")) is False


@pytest.mark.parametrize(("rule", "subject"), MATCHES)
def test_s04_a_rule_matches_its_subject_in_every_form(rule: str, subject: str) -> None:
    assert rule_matches(rule, parse_dn(subject))


@pytest.mark.parametrize(("rule", "subject"), STRANGERS)
def test_s04_a_rule_never_matches_a_stranger(rule: str, subject: str) -> None:
    dn = read(subject)
    assert dn is None or not rule_matches(rule, dn)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("CN=" + "a" * MAX_LENGTH, "it is longer than 4096 characters"),
        ("CN=a\x00", "it contains a control character"),
        (r"CN=a\00", "a value contains a control character"),
        ("CN=a," * MAX_PARTS + "O=b", "it has more than 100 parts"),
        ("/a", "a part after / has no type, such as CN="),
        ("/CN=a/CN=b", "an attribute is given twice in the slash form, which has no escapes"),
        ("/CN=a\\b", "a backslash or + in the slash form cannot be read for certain"),
        ("CN=a+CN=b", "an attribute is given twice in one part"),
        ('CN="a"b', "unexpected 'b' at character 7"),
        ("=b", "no attribute type at character 1"),
        ("CN=a,=b", "no attribute type at character 6"),
        ("CN=a, =b", "no attribute type at character 7"),
        ("CN a", "no = after the type CN"),
        ("x" * 300, f"no = after the type {'x' * 40}"),
        ("CN=a<", "< must be escaped (character 5)"),
        ('CN="a', "a quoted value does not end"),
        (r"CN=\z", "a backslash before z means nothing"),
        ("CN=a\\", "a backslash before the end means nothing"),
        ("CN=#0", "a # value is not pairs of hex digits"),
        ("CN=#0402", "a # value is not a short character string"),
        ("CN=#0C", "a # value is not a short character string"),
        ("CN=#0C00", "a value is empty"),
        (r"CN=\FF", "a value is not UTF-8"),
        ("CN=#1301FF", "a value is not ASCII"),
        ("CN=", "a value is empty"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(BadDistinguishedName) as refusal:
        parse_dn(text)
    assert str(refusal.value) == reason


def test_s09_length_and_parts_are_bounded_but_not_too_tightly() -> None:
    assert parse_dn("CN=" + "a" * (MAX_LENGTH - 3)).common_name == "a" * (MAX_LENGTH - 3)
    assert parse_dn(" " * 9 + "CN=" + "a" * (MAX_LENGTH - 3))
    assert len(parse_dn(",".join(["OU=a"] * MAX_PARTS)).parts) == MAX_PARTS
    assert read("/OU=a" * (MAX_PARTS + 1)) is None


@pytest.mark.parametrize(
    "text", ["/" * 4096, "/1" * 2048, "CN=a," * 800 + "=", "/OU=a" * 800, "CN=" + "\\," * 2000]
)
def test_s27_hostile_names_are_judged_quickly(text: str) -> None:
    """A guard against explosion, not a measurement: quadratic behaviour would take far longer."""
    began = time.process_time()
    for _ in range(5):
        read(text)
    assert time.process_time() - began < 3


def test_the_common_name_is_the_most_specific_one() -> None:
    assert parse_dn("OU=x,CN=first,CN=second").common_name == "first"
    assert parse_dn("UID=1+CN=inner,O=b").common_name == "inner"
    assert parse_dn("OU=x,O=b").common_name is None


@pytest.mark.parametrize(
    ("notation", "written"),
    [
        ("CN=a|O=b|C=GB", "CN=a,O=b,C=GB"),
        ("UID=7&CN=a|O=b", "CN=a+UID=7,O=b"),
        ("CN=a,b", r"CN=a\,b"),
        ('CN=a+b"c\\d<e>f;g=h', r"CN=a\+b\"c\\d\<e\>f\;g\=h"),
        ("CN=#a#", r"CN=\#a#"),
        ("CN=Müller", "CN=Müller"),
    ],
)
def test_a_name_is_written_in_the_form_of_rfc_4514(notation: str, written: str) -> None:
    assert str(name(notation)) == written
    assert parse_dn(written) == name(notation)


# A second opinion: the library `cryptography` reads a part of RFC 4514 (no blanks, no quotes, no `#` values).

KIND_OF = {
    spelling: kind for kind, spellings in SAME_TYPE.items() for spelling in spellings if spelling[0].isdigit()
}
OID_OF = {
    spelling: ObjectIdentifier(next(dotted for dotted in spellings if dotted[0].isdigit()))
    for spellings in SAME_TYPE.values()
    for spelling in spellings
}


def from_theirs(subject: x509.Name) -> DistinguishedName:
    """Their name in our shape, by object identifier; white space collapsed as the contract says."""
    return DistinguishedName(
        tuple(
            tuple(
                sorted(
                    (
                        KIND_OF.get(attribute.oid.dotted_string, attribute.oid.dotted_string),
                        " ".join(filter(None, str(attribute.value).split(" "))),
                    )
                    for attribute in part
                )
            )
            for part in reversed(subject.rdns)
        )
    )


def second_opinion(text: str) -> DistinguishedName | None:
    try:
        return from_theirs(x509.Name.from_rfc4514_string(text, OID_OF))
    except (ValueError, KeyError):
        return None


def test_s04_cryptography_reads_the_vectors_alike_where_it_reads_them() -> None:
    opinions = {text: second_opinion(text) for text in READ if "=#" not in text}
    differing = [text for text, theirs in opinions.items() if theirs is not None and theirs != name(READ[text])]
    assert differing == []
    assert sum(theirs is not None for theirs in opinions.values()) >= 120


def test_s04_what_cryptography_takes_and_we_refuse_has_a_reason_each() -> None:
    """Control characters, values without any text, a type twice in one part, `#` values taken as they stand."""
    taken = {text: theirs for text in REFUSED if text and "=#" not in text and (theirs := second_opinion(text))}
    for text, theirs in taken.items():
        attributes = [attribute for part in theirs.parts for attribute in part]
        odd = any(not value or any(c < " " or c == "\x7f" for c in value) for _, value in attributes)
        doubled = any(len({kind for kind, _ in part}) < len(part) for part in theirs.parts)
        assert odd or doubled, text
    assert taken


# What OpenSSL, and with it nginx, writes for real certificates.

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
KEY = ec.generate_private_key(ec.SECP256R1())
CN, ORG, OU, C = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.COUNTRY_NAME,
)

Rdn = list[tuple[ObjectIdentifier, str]]
SUBJECTS: list[list[Rdn]] = [
    [[(C, "GB")], [(ORG, "Example")], [(CN, "client-a")]],
    [[(C, "GB")], [(ORG, "Sue, Grabbit and Runn")], [(CN, "client-a")]],
    [[(C, "GB")], [(ORG, 'a+b="c"<d>;e\\f#g')], [(CN, "#client")]],
    [[(ORG, "Müller & Söhne")], [(CN, "Мария 山田 🔑")]],
    [[(ORG, "  blanks   inside  and around ")], [(CN, " a ")]],
    [[(ORG, "b")], [(CN, "a"), (NameOID.USER_ID, "7")]],
    [[(ORG, "b")], [(CN, "a"), (NameOID.USER_ID, "7"), (OU, "x, y")]],
    [[(NameOID.DOMAIN_COMPONENT, "org")], [(NameOID.DOMAIN_COMPONENT, "example")], [(CN, "a")]],
    [[(ORG, "b")], [(CN, "a")], [(NameOID.EMAIL_ADDRESS, "a@example.org")]],
    [[(NameOID.STATE_OR_PROVINCE_NAME, "Kent")], [(NameOID.LOCALITY_NAME, "Dover")], [(CN, "a")]],
    [[(NameOID.SURNAME, "Doe")], [(NameOID.GIVEN_NAME, "Jo")], [(NameOID.TITLE, "Dr")], [(CN, "a")]],
    [[(NameOID.SERIAL_NUMBER, "4711")], [(NameOID.PSEUDONYM, "jd")], [(NameOID.POSTAL_CODE, "CT1")]],
    [[(ObjectIdentifier("1.3.6.1.4.1.55555.1"), "own type")], [(CN, "a")]],
    [[(ObjectIdentifier("2.5.4.97"), "VATGB-1")], [(CN, "a")]],
    [[(CN, "first")], [(ORG, "b")], [(CN, "last")]],
    [[(CN, "good"), (OU, "x")], [(CN, "evil")]],
    [[(ORG, "x")], [(CN, "evil,CN=good")]],
    [[(ORG, "x")], [(CN, "evil/CN=good")]],
    [[(ORG, "x")], [(CN, "good\\")]],
    [[(ORG, "x")], [(CN, "good\u00a0")]],
    [[(ORG, "x/CN=good")], [(CN, "evil")]],
    [[(ORG, "x")], [(CN, "good+CN=evil")]],
    [[(CN, "good\x00.evil")]],
    [[(CN, "good\r\nX-SSL-Client-Verify: SUCCESS")]],
    [[(CN, "good\ngood")]],
    [[(CN, '"good"')]],
    [[(CN, "#0C04676F6F64")]],
    [[(CN, "a" * 64)]],
]


def subject_name(parts: Iterable[Rdn]) -> x509.Name:
    return x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(kind, value, None if kind != C else _ASN1Type.PrintableString, _validate=False)
            for kind, value in part
        )
        for part in parts
    )


def certificate(subject: x509.Name, path: Path) -> Path:
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(CN, "Throw-away CA")]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(KEY, hashes.SHA256())
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return path


def as_written_by_openssl(path: Path, form: str) -> str:
    command = ["openssl", "x509", "-noout", "-subject", "-nameopt", form, "-in", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "surrogateescape")
    return printed.removeprefix("subject=").rstrip("\n").lstrip(" ")


def has_control(subject: DistinguishedName) -> bool:
    return any(character < " " for part in subject.parts for _, value in part for character in value)


@needs_openssl
@pytest.mark.parametrize("parts", SUBJECTS, ids=lambda parts: repr(parts[-1][0][1])[:30])
def test_s04_real_certificates_are_read_from_openssls_own_output(parts: list[Rdn], tmp_path: Path) -> None:
    subject = subject_name(parts)
    path = certificate(subject, tmp_path / "certificate.pem")
    meant = from_theirs(subject)
    for form in ("RFC2253", "RFC2253,-esc_msb,utf8", "oneline"):
        text = as_written_by_openssl(path, form)
        found = read(text)
        if has_control(meant):
            assert found is None, (form, text)
        elif form == "oneline":  # the comma form with blanks, but with the least specific part first
            assert found == DistinguishedName(meant.parts[::-1]), text
        else:
            assert found == meant, (form, text)


@needs_openssl
@pytest.mark.parametrize("parts", SUBJECTS, ids=lambda parts: repr(parts[-1][0][1])[:30])
def test_s04_the_slash_form_of_real_certificates_is_read_rightly_or_refused(
    parts: list[Rdn], tmp_path: Path
) -> None:
    subject = subject_name(parts)
    text = as_written_by_openssl(certificate(subject, tmp_path / "certificate.pem"), "compat")
    assert text.startswith("/")
    found = read(text)
    assert found is None or found == from_theirs(subject), text
    kinds = [kind for part in parts for kind, _ in part]
    if all(len(part) == 1 and part[0][1].isalnum() for part in parts) and len(set(kinds)) == len(kinds):
        assert found is not None, text


def oneline_before_openssl_3(parts: list[Rdn]) -> str:
    return "".join(f"/{KIND_OF[kind.dotted_string]}={value}" for part in parts for kind, value in part)


@needs_openssl
def test_s04_the_doubt_that_the_slash_form_leaves(tmp_path: Path) -> None:
    """Two subjects, one text before OpenSSL 3: nobody can tell them apart, so the comma form is asked for."""
    honest: list[Rdn] = [[(ORG, "x")], [(CN, "good")]]
    crafted: list[Rdn] = [[(ORG, "x/CN=good")]]
    assert oneline_before_openssl_3(honest) == oneline_before_openssl_3(crafted) == "/O=x/CN=good"
    for parts, matches in ((honest, True), (crafted, False)):
        path = certificate(subject_name(parts), tmp_path / "certificate.pem")
        assert rule_matches("CN=good", parse_dn(as_written_by_openssl(path, "RFC2253"))) is matches
        in_slashes = as_written_by_openssl(path, "compat")
        if in_slashes != "/O=x/CN=good" or matches:  # OpenSSL 3 escapes the slash
            found = read(in_slashes)
            assert (found is not None and rule_matches("CN=good", found)) is matches


# Many random names, written and read again.

ALPHABET = 'abz AZ09,+"\\<>;=#/.-_@éß€🔑\u00a0'


def random_name(chance: random.Random) -> DistinguishedName:
    kinds = ["CN", "O", "OU", "C", "DC", "UID", "EMAILADDRESS", "1.2.3", "X-Y"]
    parts = []
    for _ in range(chance.randint(1, 4)):
        part = {}
        for kind in chance.sample(kinds, chance.choice((1, 1, 1, 2))):
            value = "".join(chance.choices(ALPHABET, k=chance.randint(1, 9)))
            part[kind] = " ".join(filter(None, value.split(" "))) or "x"
        parts.append(tuple(sorted(part.items())))
    return DistinguishedName(tuple(parts))


def test_s04_random_names_survive_writing_and_reading() -> None:
    chance = random.Random(4)
    for _ in range(5_000 * int(os.environ.get("SOAK_FACTOR", "1"))):
        dn = random_name(chance)
        assert parse_dn(str(dn)) == dn
