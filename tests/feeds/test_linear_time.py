"""S39: whatever foreign text is read with, 64 KiB of the worst of it cost next to nothing.

The bound is twenty times that of the demand: it catches what is not linear, on the slowest machine. What grows with
the square of the length takes seconds for each of these.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from feeds.changes import import_rows
from feeds.receipt.answers import refused
from feeds.rules import arguments, dn, pasted, stored_metadata
from feeds.rules.dialects import read_statement
from feeds.rules.stroom_status import FEED_NOT_RECEIVING
from feeds.store import stroom_packs
from feeds.store.ids import RECEIPT_ID
from portal.http.client import DIALECTS
from tests.feeds.rules.heads import PROXY, judged, read

SIZE = 64 * 1024
MOST_SECONDS = 1.0
BEGIN = "-----BEGIN CERTIFICATE-----"
#: Runs that an expression could try in many ways, each with an end that does not fit.
RUNS = [" ", "\t", "a", "A", "0", "#", "=", ",", "+", "/", "\\", '"', "\r", "\n", "\r\n", "\0", ".", "-", ":", "%"]
PAIRS = [first + second for first in RUNS for second in ("a", "=", " ", "0")]
PHRASES = [
    BEGIN,
    BEGIN + "\n",
    BEGIN + " " * 100,
    "-----BEGIN ",
    "-----END CERTIFICATE-----",
    "subject=",
    "issuer = ",
    "CN=a,",
    "CN=#00",
    "CN=#0",
    "CN=\\,",
    "/CN=",
    "+CN=",
    "a" * 999 + " ",
    "a=,",
    'a="";',
    'a="",',
    'a="b" ',
    "Hash=a;",
    "%2C",
    "Feed:",
    "Feed:A\n",
    ".Feed.",
    "x.Feed.00000000-0000-0000-0000-000000000000.meta",
    "2026-01-01T00:00:00.000Z",
    "Nov  3 04:33:24 2026 GMT ",
]


def worst() -> list[str]:
    return [
        (text * (SIZE // len(text) + 1))[:SIZE] + end for text in [*RUNS, *PAIRS, *PHRASES] for end in ("", "\x01")
    ]


def read_pasted(text: str) -> None:
    for given in (text[:SIZE], BEGIN + text[: SIZE - 27], BEGIN + text[: SIZE - 60] + "x-----END CERTIFICATE-----"):
        with contextlib.suppress(pasted.UnreadableCertificate):
            pasted.read_pasted(given)


def name(text: str) -> None:
    for given in (text, f"CN={text}", f"/CN={text}", f'CN="{text}'):
        with contextlib.suppress(dn.BadDistinguishedName):
            dn.parse_dn(given)


def head(text: str) -> None:
    raw = text.encode()
    read([(b"Feed", raw), (b"X-SSL-CLIENT-S-DN", raw), (b"X-Forwarded-For", raw)], raw, peer=PROXY)
    read([(raw.strip() or b"x", b"a")], b"Feed=" + raw)


def dialects(text: str) -> None:
    for dialect, names in DIALECTS.items():
        identity = replace(names, certificate="x-certificate")
        for given in (text, f'Subject="{text}', f'Subject="CN=a",{text}', f'Subject="CN=a";{text}'):
            read_statement(identity, dict.fromkeys(identity.stated, given))
        assert dialect == identity.dialect


READERS: dict[str, Callable[[str], object]] = {
    "pasted certificate": read_pasted,
    "distinguished name": name,
    "head of a request": head,
    "identity headers": dialects,
    "metadata": lambda text: stored_metadata.parse_meta(text.encode()),
    "time": arguments.parse_time,
    "certificate": lambda text: judged(dn=text, verify=text, expiry=text),
    "answer": lambda text: refused(FEED_NOT_RECEIVING, feed=text, hint=text),
    "receipt id": RECEIPT_ID.fullmatch,
    "properties of a feed file": stroom_packs._PAIR.match,
    "names in a feed file": lambda text: stroom_packs._UNSAFE_IN_SEGMENT.sub(
        "_", stroom_packs._UNSAFE_IN_NAME.sub("_", text)
    ),
    "values of a feed file": import_rows.UNSTORABLE.search,
}


@pytest.mark.parametrize("reader", READERS)
def test_s39_the_worst_text_is_read_in_linear_time(reader: str) -> None:
    slow = {}
    for text in worst():
        began = time.thread_time()
        READERS[reader](text)
        slow[text[:40] + text[-1]] = time.thread_time() - began
    assert not {text: seconds for text, seconds in slow.items() if seconds > MOST_SECONDS}


@pytest.mark.parametrize("text", ["x", "\n"])
def test_s39_blanks_in_a_pasted_certificate_are_trimmed_in_linear_time(text: str) -> None:
    """They were looked at again from each of them."""
    block = f"{BEGIN}{text}{' ' * (SIZE - 100)}x\n-----END CERTIFICATE-----"
    began = time.thread_time()
    with pytest.raises(pasted.UnreadableCertificate):
        pasted.read_pasted(block)
    assert time.thread_time() - began < MOST_SECONDS
