"""Rows of an imported file: one feed each, with each value held to its type."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feeds.changes.apply import GIVEN, MAX_RULES, WRITABLE, RuleValues
from feeds.models import MAX_LABEL, MAX_LABELS
from feeds.rules.arguments import parse_time
from feeds.store.stroom_packs import LeftOut

MAX_FILE = 8 * 1024 * 1024
MAX_ROWS = 10_000
RULE_KEYS = ("action", "subject_dn", "expires", "comment")
COLUMNS = ("name", *WRITABLE[:5], "certificate_rules", *WRITABLE[5:])
#: Characters that not every database stores in text.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class UnreadableFile(ValueError):
    """The file as a whole cannot be used; the message says why."""


@dataclass(frozen=True)
class ImportRow:
    """One feed of a file. `rules` is None where the file says nothing of them; `faults` make it unusable.

    `stroom` has what Stroom needs to know the feed again: its uuid, and what only Stroom has a use for. `notes` say
    what is remarkable, or kept without a use for it here.
    """

    place: str
    name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[RuleValues, ...] | None = None
    faults: tuple[str, ...] = ()
    stroom: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportFile:
    """Content of a file: its kind in words, its rows in the file's order, and the parts that make no row."""

    kind: str
    rows: tuple[ImportRow, ...]
    left_out: tuple[LeftOut, ...] = ()


def own_row(place: str, item: Mapping[str, Any]) -> ImportRow:
    """Read a feed in the portal's own JSON; `place` says where in the file it is."""
    unknown = [key for key in item if key not in COLUMNS and key not in GIVEN]
    faults = [f"unknown key {key}" for key in unknown]
    rules = None
    if "certificate_rules" in item:
        rules, rule_faults = read_rules(item["certificate_rules"])
        faults += rule_faults
    values = {key: value for key, value in item.items() if key in ("name", *WRITABLE)}
    return checked_row(place, values, rules, faults)


def read_rules(value: Any) -> tuple[tuple[RuleValues, ...], list[str]]:
    """Read the certificate rules of a feed; the second value has one fault for each that is unusable."""
    if not isinstance(value, list) or len(value) > MAX_RULES:
        return (), [f"certificate_rules is not a list of at most {MAX_RULES} rules"]
    rules, faults = [], []
    for number, item in enumerate(value, 1):
        rule, fault = _rule(item)
        if rule is None:
            faults.append(f"certificate rule {number}: {fault}")
        else:
            rules.append(rule)
    return tuple(rules), faults


def _rule(item: Any) -> tuple[RuleValues | None, str]:
    if not isinstance(item, dict) or not all(key in RULE_KEYS for key in item):
        return None, f"it has other keys than {', '.join(RULE_KEYS)}"
    if not all(item.get(key) is None or is_text(item[key]) for key in RULE_KEYS):
        return None, "its values are not text"
    expires = None
    if item.get("expires"):
        expires = parse_time(item["expires"])
        if expires is None:
            return None, "its expiry is not a time such as 2027-01-31T00:00:00Z"
    return RuleValues(
        item.get("action") or "", item.get("subject_dn") or "", expires, item.get("comment") or ""
    ), ""


def checked_row(
    place: str, values: dict[str, Any], rules: tuple[RuleValues, ...] | None, faults: Sequence[str]
) -> ImportRow:
    """Take the name out and hold every value to its type; a value of another type is never converted."""
    problems = list(faults)
    name = values.pop("name", "")
    if not is_text(name) or not name:
        problems.append("it has no name")
        name = ""
    for key, value in values.items():
        wanted = _TYPES.get(key, is_text)
        if not wanted(value):
            problems.append(f"{key} is not {_TYPE_WORDS.get(key, 'text')}")
    return ImportRow(place, name, values, rules, tuple(problems))


def is_text(value: Any) -> bool:
    """Text that every database takes: no NUL, no half of a surrogate pair."""
    return isinstance(value, str) and UNSTORABLE.search(value) is None


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_words(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_LABELS:
        return False
    return all(is_text(word) and word.strip() and len(word) <= MAX_LABEL for word in value)


_TYPES: dict[str, Callable[[Any], bool]] = {"reference": _is_flag, "labels": _is_words}
_TYPE_WORDS = {
    "reference": "true or false",
    "labels": f"a list of words, at most {MAX_LABELS} of {MAX_LABEL} characters",
}
