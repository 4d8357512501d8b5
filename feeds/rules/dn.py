"""Distinguished names of certificates: parsed whole, compared as lists of attribute sets.

Accepted forms (contract section 9): RFC 4514 / RFC 2253 (`CN=a,O=b,C=GB`, escapes, hex pairs, `#` hex values,
multi-valued parts with `+`), the same with blanks after commas, and OpenSSL's slash form (`/C=GB/O=b/CN=a`).
A text that cannot be read for certain in one of them is refused, never guessed at.

One doubt cannot be removed: the slash form of OpenSSL before 3.0 has no escapes, so its `/O=x/CN=good` may be an
organisation `x` with a common name, or an organisation called `x/CN=good`. Repeated types, `+` and backslashes
(3.0 escapes the slash, but not the backslash itself) are refused there; where the doubt matters, the proxy has to
send the comma form (nginx: `$ssl_client_s_dn`, never the legacy variable).
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

MAX_LENGTH = 4096
MAX_PARTS = 100

#: Names and object identifiers of one attribute type, by the name we compare with (RFC 4514 section 3, RFC 4519).
_SAME_TYPE = {
    "CN": ("commonname", "2.5.4.3"),
    "SN": ("surname", "2.5.4.4"),
    "SERIALNUMBER": ("2.5.4.5",),
    "C": ("countryname", "2.5.4.6"),
    "L": ("localityname", "2.5.4.7"),
    "ST": ("s", "stateorprovincename", "2.5.4.8"),
    "STREET": ("streetaddress", "2.5.4.9"),
    "O": ("organizationname", "2.5.4.10"),
    "OU": ("organizationalunitname", "2.5.4.11"),
    "TITLE": ("t", "2.5.4.12"),
    "GN": ("givenname", "2.5.4.42"),
    "INITIALS": ("2.5.4.43",),
    "GENERATIONQUALIFIER": ("generation", "2.5.4.44"),
    "DNQUALIFIER": ("dnq", "2.5.4.46"),
    "PSEUDONYM": ("2.5.4.65",),
    "NAME": ("2.5.4.41",),
    "DESCRIPTION": ("2.5.4.13",),
    "BUSINESSCATEGORY": ("2.5.4.15",),
    "POSTALCODE": ("2.5.4.17",),
    "ORGANIZATIONIDENTIFIER": ("2.5.4.97",),
    "UNSTRUCTUREDNAME": ("1.2.840.113549.1.9.2",),
    "UID": ("userid", "0.9.2342.19200300.100.1.1"),
    "DC": ("domaincomponent", "0.9.2342.19200300.100.1.25"),
    "EMAILADDRESS": ("e", "email", "1.2.840.113549.1.9.1"),
}
_TYPE_OF = {alias.upper(): name for name, aliases in _SAME_TYPE.items() for alias in (name, *aliases)}
_TYPE_SYNTAX = r"(?:(?:OID\.)?(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+|[A-Z][A-Z0-9-]*)"
# ASCII: without it re.IGNORECASE takes the long s for an s, and \d the digits of every script.
_FLAGS = re.IGNORECASE | re.ASCII
_TYPE = re.compile(_TYPE_SYNTAX, _FLAGS)
_SLASH_PART = re.compile(rf"/(?={_TYPE_SYNTAX}=)", _FLAGS)
_SLASH_DOUBT = re.compile(rf"\\|\+(?={_TYPE_SYNTAX}=)", _FLAGS)
_HEX_PAIR = re.compile(r"[0-9A-F]{2}", _FLAGS)
_HEX_VALUE = re.compile(r"#((?:[0-9A-F]{2})+) *(?=[,+]|\Z)", _FLAGS)
_SPECIAL = frozenset(',+"\\<>;=# ')
#: Control characters, and lone surrogates, which no encoding can carry.
_UNREADABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
#: BER tags of the strings whose bytes are their text.
_DER_STRINGS = {0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "ascii", 0x16: "ascii", 0x1A: "ascii"}
#: Types that a name may well have several of.
_REPEATABLE = frozenset({"OU", "DC"})

Attribute = tuple[str, str]


class BadDistinguishedName(ValueError):
    """The text is not a distinguished name in any accepted form; the message says where it goes wrong."""


@dataclass(frozen=True)
class DistinguishedName:
    """Parts from the most specific to the least; each part is its sorted attributes (type, value)."""

    parts: tuple[tuple[Attribute, ...], ...]

    @property
    def common_name(self) -> str | None:
        """The value of the most specific CN, None where there is none."""
        for part in self.parts:
            for kind, value in part:
                if kind == "CN":
                    return value
        return None

    def __str__(self) -> str:
        return ",".join("+".join(f"{kind}={_escape(value)}" for kind, value in part) for part in self.parts)


@lru_cache(maxsize=512)  # the same senders come again and again
def parse_dn(text: str) -> DistinguishedName:
    """Read a distinguished name.

    Raises:
        BadDistinguishedName: the text is empty, too long, or not certainly one name.
    """
    # Blanks only: other white space belongs to the value, or `CN=good` could be had with a no-break space. Those at
    # the end are left to the reader of values, for they may be escaped.
    stripped = text.lstrip(" ")
    if not stripped:
        raise BadDistinguishedName("it is empty")
    if len(stripped) > MAX_LENGTH:
        raise BadDistinguishedName(f"it is longer than {MAX_LENGTH} characters")
    if _UNREADABLE.search(stripped):
        raise BadDistinguishedName("it contains a control character")
    parts = _parse_slashes(stripped) if stripped.startswith("/") else _parse_commas(stripped)
    if len(parts) > MAX_PARTS:
        raise BadDistinguishedName(f"it has more than {MAX_PARTS} parts")
    return DistinguishedName(tuple(parts))


def rule_matches(rule: str, dn: DistinguishedName) -> bool:
    """Say whether a rule's DN matches a certificate's.

    A rule is a full DN, all parts equal and in order, or a single `CN=…`, which is compared with the most
    specific CN. A rule that cannot be parsed matches nothing.
    """
    wanted = _parsed_rule(rule)
    if wanted is None:
        return False
    return wanted == dn or (is_single_cn(wanted) and wanted.common_name == dn.common_name)


@lru_cache(maxsize=8192)
def _parsed_rule(rule: str) -> DistinguishedName | None:
    """Rules are few and asked often, so each is read once."""
    try:
        return parse_dn(rule)
    except BadDistinguishedName:
        return None


def is_single_cn(dn: DistinguishedName) -> bool:
    """Return whether a rule's name is a common name alone, which is compared with the most specific one."""
    return [kind for part in dn.parts for kind, _ in part] == ["CN"]


def _parse_slashes(text: str) -> list[tuple[Attribute, ...]]:
    """Read OpenSSL's one-line form, least specific first.

    A value with a slash that looks like a further part cannot be distinguished from two parts. Each attribute type
    but the repeatable ones is therefore taken once at most.
    """
    before, *pieces = _SLASH_PART.split(text)
    if before or not pieces:
        raise BadDistinguishedName("a part after / has no type, such as CN=")
    parts = [_slash_part(piece) for piece in pieces]
    kinds = Counter(kind for part in parts for kind, _ in part)
    if any(count > 1 and kind not in _REPEATABLE for kind, count in kinds.items()):
        raise BadDistinguishedName("an attribute is given twice in the slash form, which has no escapes")
    return parts[::-1]


def _slash_part(piece: str) -> tuple[Attribute, ...]:
    kind, _, value = piece.partition("=")
    if _SLASH_DOUBT.search(value):
        raise BadDistinguishedName("a backslash or + in the slash form cannot be read for certain")
    return ((_canonical_type(kind), _collapse(value)),)


def _parse_commas(text: str) -> list[tuple[Attribute, ...]]:
    reader = _Reader(text)
    parts = [_comma_part(reader)]
    while not reader.at_end():
        if not reader.took(","):
            raise BadDistinguishedName(f"unexpected {reader.peek()!r} at character {reader.position + 1}")
        parts.append(_comma_part(reader))
    return parts


def _comma_part(reader: "_Reader") -> tuple[Attribute, ...]:
    attributes = [reader.attribute()]
    while reader.took("+"):
        attributes.append(reader.attribute())
    if len({kind for kind, _ in attributes}) < len(attributes):
        raise BadDistinguishedName("an attribute is given twice in one part")
    return tuple(sorted(attributes))


class _Reader:
    """Walks over the comma form character by character; nothing is split before it is understood."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.position = 0

    def peek(self) -> str:
        return self._text[self.position : self.position + 1]

    def at_end(self) -> bool:
        return self.position >= len(self._text)

    def took(self, character: str) -> bool:
        found = self.peek() == character
        if found:
            self.position += 1
        return found

    def attribute(self) -> Attribute:
        self._skip_blanks()
        match = _TYPE.match(self._text, self.position)
        if match is None:
            raise BadDistinguishedName(f"no attribute type at character {self.position + 1}")
        self.position = match.end()
        self._skip_blanks()
        if not self.took("="):
            raise BadDistinguishedName(f"no = after the type {match.group()[:40]}")
        self._skip_blanks()
        return _canonical_type(match.group()), self._value()

    def _value(self) -> str:
        if self.peek() == '"':
            return self._quoted()
        if self.peek() == "#":
            return self._hex_value()
        return self._plain()

    def _skip_blanks(self) -> None:
        while self.peek() == " ":
            self.position += 1

    def _plain(self) -> str:
        raw = bytearray()
        while not self.at_end() and self.peek() not in {",", "+"}:
            character = self.peek()
            if character == "\\":
                raw += self._escaped()
                continue
            if character in {'"', "<", ">", ";"}:
                raise BadDistinguishedName(f"{character} must be escaped (character {self.position + 1})")
            raw += character.encode()
            self.position += 1
        return _text_of(bytes(raw))

    def _quoted(self) -> str:
        self.position += 1
        raw = bytearray()
        while not self.took('"'):
            if self.at_end():
                raise BadDistinguishedName("a quoted value does not end")
            if self.peek() == "\\":
                raw += self._escaped()
                continue
            raw += self.peek().encode()
            self.position += 1
        self._skip_blanks()
        return _text_of(bytes(raw))

    def _escaped(self) -> bytes:
        self.position += 1
        pair = _HEX_PAIR.match(self._text, self.position)
        if pair is not None:
            self.position = pair.end()
            return bytes.fromhex(pair.group())
        character = self.peek()
        if not character or character not in _SPECIAL:
            raise BadDistinguishedName(f"a backslash before {character or 'the end'} means nothing")
        self.position += 1
        return character.encode()

    def _hex_value(self) -> str:
        match = _HEX_VALUE.match(self._text, self.position)
        if match is None:
            raise BadDistinguishedName("a # value is not pairs of hex digits")
        self.position = match.end()
        return _der_string(bytes.fromhex(match.group(1)))


def _der_string(der: bytes) -> str:
    """Read a BER-encoded string of the kinds whose bytes are their text; anything else cannot be compared."""
    if len(der) < 2 or der[0] not in _DER_STRINGS or der[1] > 0x7F or len(der) != der[1] + 2:
        raise BadDistinguishedName("a # value is not a short character string")
    return _text_of(der[2:], _DER_STRINGS[der[0]])


def _text_of(raw: bytes, encoding: str = "utf-8") -> str:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as fault:
        raise BadDistinguishedName(f"a value is not {encoding.upper()}") from fault
    if _UNREADABLE.search(text):
        raise BadDistinguishedName("a value contains a control character")
    return _collapse(text)


def _collapse(value: str) -> str:
    collapsed = re.sub(r" +", " ", value).strip(" ")
    if not collapsed:
        raise BadDistinguishedName("a value is empty")
    return collapsed


def _canonical_type(kind: str) -> str:
    name = kind.upper().removeprefix("OID.")
    return _TYPE_OF.get(name, name)


def _escape(value: str) -> str:
    escaped = re.sub(r'([,+"\\<>;=])', r"\\\1", value)
    return f"\\{escaped}" if escaped.startswith("#") else escaped
