"""The words by which the recogniser of pasted text knows codes. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from codes.catalogue.values import HTTP, STROOM, Catalogue
from codes.explain.findings import Vocabulary
from codes.explain.words import REASONS


class Name(NamedTuple):
    """One name that a code has or had, in the catalogue's words or in a source's."""

    registry: str
    code: int
    name: str


#: Stroom's constants, as a stroom-proxy is told them (`stroomStatusCode`) and as its logs have them.
CONSTANTS: Mapping[str, int] = {
    "FEED_MUST_BE_SPECIFIED": 100,
    "FEED_IS_NOT_DEFINED": 101,
    "INVALID_TYPE": 102,
    "MISSING_MANDATORY_HEADER": 103,
    "INVALID_FORMAT": 104,
    "FEED_IS_NOT_SET_TO_RECEIVE_DATA": 110,
    "FEED_IS_NOT_SET_TO_RECEIVED_DATA": 110,
    "INVALID_FEED_NAME": 111,
    "INVALID_DATA_FEED_KEY": 112,
    "REJECTED_BY_POLICY_RULES": 113,
    "UNEXPECTED_DATA_TYPE": 120,
    "UNKNOWN_COMPRESSION": 200,
    "CLIENT_CERTIFICATE_REQUIRED": 300,
    "CLIENT_TOKEN_REQUIRED": 301,
    "CLIENT_TOKEN_OR_CERT_REQUIRED": 302,
    "CLIENT_DATA_FEED_KEY_REQUIRED": 303,
    "AUTHENTICATION_REQUIRED": 304,
    "CLIENT_CERTIFICATE_NOT_AUTHORISED": 310,
    "CLIENT_CERTIFICATE_NOT_AUTHENTICATED": 310,
    "CLIENT_TOKEN_NOT_AUTHENTICATED": 311,
    "CLIENT_TOKEN_OR_CERT_NOT_AUTHENTICATED": 312,
    "DATA_FEED_KEY_NOT_AUTHENTICATED": 313,
    "DATA_FEED_KEY_EXPIRED": 314,
    "CLIENT_CERTIFICATE_DN_NOT_AUTHENTICATED": 315,
    "COMPRESSED_STREAM_INVALID": 400,
    "CONTENT_TOO_LARGE": 410,
    "UNKNOWN_ERROR": 999,
}
#: Messages of current Stroom where the catalogue has another name.
MESSAGES: Mapping[str, int] = {
    "Client Certificate DN failed authentication": 315,
    "The provided client certificate could not be authenticated": 310,
}
# Other programs use these constants too; they count only as the value of `stroomStatusCode`.
COMMON_CONSTANTS = frozenset(
    "INVALID_TYPE INVALID_FORMAT MISSING_MANDATORY_HEADER AUTHENTICATION_REQUIRED CONTENT_TOO_LARGE UNKNOWN_ERROR "
    "UNEXPECTED_DATA_TYPE".split()
)
# Other programs say these sentences too; they count only beside their number.
COMMON_MESSAGES = frozenset(
    {
        "ok",
        "unknown error",
        "data type is invalid",
        "data format is invalid",
        "a mandatory header is missing",
        "unexpected data type",
        "authentication of the client is required",
    }
)


def vocabulary_of(catalogue: Catalogue) -> Vocabulary:
    """The vocabulary of the catalogue's files."""
    return make_vocabulary(
        [
            *(Name(m.registry, m.code, m.name) for m in catalogue.meanings),
            *(Name(m.registry, m.code, former.name) for m in catalogue.meanings for former in m.former_names),
            *(Name(entry.registry, entry.code, entry.name) for entry in catalogue.entries),
        ],
        pairs={code.code: code.http_statuses for code in catalogue.codes if code.registry == STROOM},
    )


def _without_brackets(name: str) -> str:
    """The registry lists an unused number as "(Unused)"."""
    return name[1:-1] if name.startswith("(") and name.endswith(")") else name


def make_vocabulary(names: Iterable[Name], pairs: Mapping[int, Collection[int]]) -> Vocabulary:
    """Sort the names of all codes into those that need their number beside them and those that speak alone."""
    by_code: dict[int, dict[str, None]] = defaultdict(dict)
    messages: dict[str, int] = {}
    stroom_codes: set[int] = set()
    for registry, code, name in names:
        if registry == HTTP:
            by_code[code].setdefault(_without_brackets(name))
        elif registry == STROOM:
            stroom_codes.add(code)
            messages.setdefault(name.strip(), code)
    for message, code in MESSAGES.items():
        if code in stroom_codes:
            messages.setdefault(message, code)
    for code, names_of_servers in REASONS.items():
        for name in names_of_servers:
            by_code[code].setdefault(name)
    http_names = {name.casefold() for found in by_code.values() for name in found}
    speaking = {m: c for m, c in messages.items() if m.casefold() not in COMMON_MESSAGES | http_names}
    constants = {name: code for name, code in CONSTANTS.items() if name not in COMMON_CONSTANTS}
    return Vocabulary(
        # The longest first: "Request Timeout" must not hide "Request Timeout Exceeded".
        names={code: tuple(sorted(found, key=len, reverse=True)) for code, found in by_code.items()},
        messages={**speaking, **constants},
        stroom_codes=frozenset(stroom_codes),
        pairs=pairs,
        constants=CONSTANTS,
        all_messages=messages,
    )
