"""Names, values and times of arguments: limits, spelling, parsing. Sections are those of the receipt contract."""

import re
from datetime import UTC, datetime, timedelta

MAX_NAMES = 200
MAX_NAME_LENGTH = 128
#: Names without a meaning here that are looked at: some turn out blank, protected or none.
MAX_OTHERS = 2 * MAX_NAMES
MAX_VALUE_LENGTH = 8192

SPELLINGS = {
    name.lower(): name
    for name in (
        "Feed System Environment Compression EffectiveTime Type Format ContextFormat Schema SchemaVersion "
        "Encoding ContextEncoding Classification AccountId AccountName Component RemoteFile GUID ReceiptId "
        "ReceiptIdPath ReceivedTime ReceivedTimeHistory ReceivedPath RemoteAddress RemoteHost RemoteDN "
        "RemoteCertExpiry UploadUserId UploadUsername StreamSize"
    ).split()
}
#: The last to be left out where there are too many names.
MEANINGFUL = frozenset(SPELLINGS) | {"content-encoding"}
#: Dropped where requests are read, so that nothing behind can store, log, echo or forward them.
SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})
NEVER_STORED = SECRETS | {
    "accept",
    "connection",
    "content-length",
    "content-encoding",  # undone before anything is stored
    "transfer-encoding",
    "expect",
    "upgrade",
    "http2-settings",
    "compression",
}
#: Control characters, other line ends, and lone surrogates, which no encoding can carry.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def canonical_name(name: str) -> str:
    """Spell a name as section 3.6 does: the case of header names is lost on the way.

    Only ASCII letters are capitalised: the long s, for one, would become an ordinary S and another name.
    """
    lower = name.lower()
    return SPELLINGS.get(lower) or "-".join(
        part.capitalize() if part[:1].isascii() else part for part in lower.split("-")
    )


def parse_time(text: str) -> datetime | None:
    """Read ISO 8601, epoch milliseconds, or nginx's certificate time; None when it is none of them."""
    value = text.strip()
    if not value.endswith("GMT"):
        return argument_time(value)
    try:
        return datetime.strptime(" ".join(value.split()), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def argument_time(value: str) -> datetime | None:
    """ISO 8601 or epoch milliseconds (section 3); a time without a zone is UTC."""
    try:
        if re.fullmatch(r"[0-9]{1,15}", value):
            return _EPOCH + timedelta(milliseconds=int(value))
        if not re.fullmatch(r"[0-9WTZtz:., +-]+", value):
            return None  # fromisoformat takes any character between date and time
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_time(moment: datetime) -> str:
    """UTC with three decimals, as in 2026-02-24T18:10:27.192Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clean(text: str) -> str:
    return CONTROL.sub(" ", text).strip()
