"""Receipt rules: which deliveries are received, rejected or dropped by what they say of themselves.

Pure. Rules are tried in their order, and the first one in force whose conditions all hold decides. A rule in shadow
decides nothing: that it matched is noted, and the next ones are tried.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import translate
from functools import cached_property, lru_cache
from typing import Any

from feeds.rules.dn import BadDistinguishedName, DistinguishedName, is_single_cn, parse_dn, rule_matches
from portal.http.client import Address, Network, parse_address, parse_network

MAX_CONDITIONS, MAX_VALUES, MAX_VALUE = 20, 1000, 2000
#: Fields that are no arguments: no header has an underscore in its name.
ADDRESS, DN, TOKEN = "remote_address", "sender_dn", "sender_token"
FEED = "feed"
#: A field, with what else tells its keys from others: of an address the version and length of the network.
Kind = tuple[Any, ...]
_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]{1,128}")


class Operator(StrEnum):
    """How a condition compares a field with its values."""

    EQUAL = "equal"
    ONE_OF = "one_of"
    WILDCARD = "wildcard"


class Action(StrEnum):
    """Action of a receipt rule. Receive ends the search: the feed and its certificate policy decide then."""

    RECEIVE = "Receive"
    REJECT = "Reject"
    DROP = "Drop"


class BadCondition(ValueError):
    """A condition that cannot be used; the message says why."""


@dataclass(frozen=True)
class Sent:
    """What is known of a request: its arguments by name in any case, and the sender's address."""

    argument: Callable[[str], str | None] = lambda _: None
    address: str = ""


NOTHING_SENT = Sent()


def sent_in(attributes: Mapping[str, Any]) -> Sent:
    """Return what a stroom-proxy's map says of a request, by lower-case name; the sender's address is in it."""

    def argument(name: str) -> str | None:
        value = attributes.get(name.lower())
        return value if isinstance(value, str) else None

    return Sent(argument, (argument("remoteaddress") or "").strip())


@dataclass(frozen=True)
class Facts:
    """What a rule may ask about: arguments by name in any case, the sender's address, and verified identities."""

    argument: Callable[[str], str | None] = lambda _: None
    address: str = ""
    dn: DistinguishedName | None = None
    dn_text: str = ""
    token: str = ""
    feed: str = ""

    @cached_property
    def texts(self) -> dict[str, str]:
        """Texts of the fields that were asked for."""
        return {FEED: self.feed, ADDRESS: self.address, DN: self.dn_text, TOKEN: self.token}

    @cached_property
    def parsed_address(self) -> Address | None:
        return parse_address(self.address)

    def value(self, name: str) -> str:
        """Return the text of a field; empty where it is absent."""
        text = self.texts.get(name)
        if text is None:
            text = self.texts[name] = self.argument(name) or ""
        return text

    def key(self, kind: Kind) -> Hashable:
        """Return the key under which conditions of this kind are found that hold; None where none can."""
        name, *rest = kind
        if not rest:
            return self.value(name) or None
        if rest[0] == "start":
            return self.value(name)[: rest[1]] or None
        if name == DN:
            return self.dn if rest == ["whole"] else self.dn and self.dn.common_name
        version, length = rest
        address = self.parsed_address
        if address is None or address.version != version:
            return None
        return int(address) >> (address.max_prefixlen - int(length))


@dataclass(frozen=True)
class Condition:
    """One comparison. `field` is in lower case; `negated` turns the result round, also that of an absent field."""

    field: str
    operator: Operator
    values: tuple[str, ...]
    negated: bool = False

    @cached_property
    def keys(self) -> Sequence[tuple[Kind, Hashable]]:
        """Kinds and keys by which it is found; empty where it has to be tried."""
        if self.negated:
            return ()
        if self.operator is Operator.WILDCARD:
            starts = [_literals(value)[0] for value in self.values]
            return [((self.field, "start", len(start)), start) for start in starts] if all(starts) else ()
        if self.field == ADDRESS:
            return [
                (
                    (ADDRESS, network.version, network.prefixlen),
                    int(network.network_address) >> (network.max_prefixlen - network.prefixlen),
                )
                for network in self._networks
            ]
        if self.field == DN:
            names = [parse_dn(value) for value in self.values]
            common = [((DN, "common name"), dn.common_name) for dn in names if is_single_cn(dn)]
            return [*(((DN, "whole"), dn) for dn in names), *common]
        return [((self.field,), value) for value in self.values]

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(parse_network(value) for value in self.values)

    @cached_property
    def _patterns(self) -> Sequence[tuple[str, re.Pattern[str]]]:
        """Patterns, each with the longest text that everything it matches has in it."""
        return [(max(_literals(value), key=len), _pattern(value)) for value in self.values]

    def holds(self, facts: Facts) -> bool:
        """Return whether it is true of a request."""
        text = facts.value(self.field)
        return (bool(text) and self._compare(text, facts)) is not self.negated

    def _compare(self, text: str, facts: Facts) -> bool:
        if self.operator is Operator.WILDCARD:
            return any(part in text and pattern.match(text) for part, pattern in self._patterns)
        if self.field == ADDRESS:
            address = facts.parsed_address
            return address is not None and any(address in network for network in self._networks)
        if self.field == DN:
            return facts.dn is not None and any(rule_matches(value, facts.dn) for value in self.values)
        return text in self.values

    def __str__(self) -> str:
        sign = {Operator.EQUAL: "=", Operator.ONE_OF: "in", Operator.WILDCARD: "~"}[self.operator]
        return f"{'not ' if self.negated else ''}{self.field} {sign} {' | '.join(self.values)}"

    def as_record(self) -> dict[str, Any]:
        """Return the condition as JSON."""
        return {
            "field": self.field,
            "operator": self.operator.value,
            "values": list(self.values),
            "negated": self.negated,
        }


@dataclass(frozen=True)
class OrderedRule:
    """One rule as it stood when the rules were read. `expires` is an instant in UTC, or None."""

    key: int
    name: str
    action: Action
    conditions: tuple[Condition, ...] = ()
    shadow: bool = False
    expires: datetime | None = None

    def matches(self, facts: Facts, now: datetime) -> bool:
        """Return whether it is in force and all its conditions hold."""
        if self.expires is not None and self.expires <= now:
            return False
        for condition in self.conditions:  # noqa: SIM110  # half the time of a generator
            if not condition.holds(facts):
                return False
        return True


@dataclass(frozen=True)
class Match:
    """A rule that matched a delivery, and whether it decided."""

    key: int
    action: Action
    applied: bool


@dataclass(frozen=True)
class RuleVerdict:
    """Result of the rules: the one that decides, None if none does, and those in shadow that matched before it."""

    rule: OrderedRule | None
    shadows: tuple[OrderedRule, ...] = ()

    @property
    def matches(self) -> tuple[Match, ...]:
        decided = (Match(self.rule.key, self.rule.action, applied=True),) if self.rule else ()
        return (*(Match(rule.key, rule.action, applied=False) for rule in self.shadows), *decided)


NO_VERDICT = RuleVerdict(None)


@dataclass(frozen=True)
class RuleSet:
    """All enabled rules in their order.

    Rules with a condition on exact values or on beginnings are found by these, so that a thousand of them cost a
    delivery little more than those that its own values name.
    """

    rules: tuple[OrderedRule, ...] = ()
    _found: dict[Kind, dict[Hashable, list[int]]] = field(default_factory=dict, compare=False, repr=False)
    _tried: list[int] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        for place, rule in enumerate(self.rules):
            keys = next((condition.keys for condition in rule.conditions if condition.keys), None)
            if keys is None:
                self._tried.append(place)
            for kind, key in keys or ():
                self._found.setdefault(kind, {}).setdefault(key, []).append(place)

    def verdict(self, facts: Facts, now: datetime) -> RuleVerdict:
        """Try the rules in their order."""
        shadows: list[OrderedRule] = []
        for place in self._candidates(facts):
            rule = self.rules[place]
            if not rule.matches(facts, now):
                continue
            if not rule.shadow:
                return RuleVerdict(rule, tuple(shadows))
            shadows.append(rule)
        return RuleVerdict(None, tuple(shadows))

    def _candidates(self, facts: Facts) -> Sequence[int]:
        """Return the places of the rules that may match, in their order."""
        if not self._found:
            return self._tried
        named = [
            place
            for kind, places in self._found.items()
            if (key := facts.key(kind)) is not None
            for place in places.get(key, ())
        ]
        return sorted({*self._tried, *named}) if named else self._tried


NO_RULES = RuleSet()


def read_conditions(records: Any) -> tuple[Condition, ...]:
    """Read conditions from JSON, as `Condition.as_record` writes them.

    Raises:
        BadCondition: one cannot be used.
    """
    if not isinstance(records, list) or len(records) > MAX_CONDITIONS:
        raise BadCondition(f"a list of at most {MAX_CONDITIONS} conditions is wanted")
    return tuple(_condition(record) for record in records)


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Read conditions from lines: `System = PAYROLL`, `Environment in PROD | LIVE`, `not Component ~ test-*`.

    Raises:
        BadCondition: a line cannot be used.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_CONDITIONS:
        raise BadCondition(f"at most {MAX_CONDITIONS} conditions")
    return tuple(_line(line) for line in lines)


def _line(line: str) -> Condition:
    rest = line[4:].lstrip() if line[:4].lower() == "not " else line
    name, _, rest_of = rest.partition(" ")
    sign, _, value = rest_of.strip().partition(" ")
    operators = {"=": Operator.EQUAL, "in": Operator.ONE_OF, "~": Operator.WILDCARD}
    if sign.lower() not in operators:
        raise BadCondition(f"“{line[:60]}”: write a name, then =, in or ~, then the value, with blanks between")
    values = [value] if sign == "=" else value.split("|")
    return _condition(
        {
            "field": name,
            "operator": operators[sign.lower()].value,
            "values": [part.strip() for part in values],
            "negated": rest is not line,
        }
    )


def _condition(record: Any) -> Condition:
    if not isinstance(record, Mapping) or set(record) - {"field", "operator", "values", "negated"}:
        raise BadCondition("a condition has field, operator, values and negated")
    name, values = record.get("field"), record.get("values")
    if not isinstance(name, str) or not (name.lower() in {ADDRESS, DN, TOKEN} or _NAME.fullmatch(name)):
        raise BadCondition("field is the name of an argument, or remote_address, sender_dn or sender_token")
    if record.get("operator") not in list(Operator):
        raise BadCondition("operator is equal, one_of or wildcard")
    if not isinstance(record.get("negated", False), bool):
        raise BadCondition("negated is true or false")
    condition = Condition(
        name.lower(), Operator(record["operator"]), _values(values), negated=record.get("negated", False)
    )
    _check_values(condition)
    return condition


def _values(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
        raise BadCondition(f"values is a list of 1 to {MAX_VALUES} texts")
    for value in values:
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_VALUE or not value.isprintable():
            raise BadCondition(f"each value is a printable text of 1 to {MAX_VALUE} characters")
    return tuple(value.strip() for value in values)


def _check_values(condition: Condition) -> None:
    """Refuse values that could never match."""
    if condition.operator is Operator.EQUAL and len(condition.values) != 1:
        raise BadCondition("equal has one value; use one_of for several")
    if condition.operator is Operator.WILDCARD:
        return
    try:
        if condition.field == ADDRESS:
            _ = condition.keys or [parse_network(value) for value in condition.values]
        elif condition.field == DN:
            for value in condition.values:
                parse_dn(value)
    except BadDistinguishedName as fault:
        raise BadCondition(f"a value is no distinguished name: {fault}") from fault
    except ValueError as fault:
        raise BadCondition(f"a value is no address or network: {fault}") from fault


def _literals(pattern: str) -> list[str]:
    """Return the texts between the stars and question marks of a pattern."""
    return re.split(r"[*?]", pattern)


@lru_cache(maxsize=4096)
def _pattern(value: str) -> re.Pattern[str]:
    """Compile a pattern in which `*` stands for any text and `?` for one character.

    The expression that `fnmatch` makes takes each star once and for all, so its time is bounded by both lengths.
    """
    return re.compile(translate(value.replace("[", "[[]")))
