"""One TOML table under strict reading: each fault is noted with place and key, and reading goes on. No Django."""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")
Word = TypeVar("Word", bound=StrEnum)
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+[^\s\\]*")


class CatalogueFault(Exception):
    """The files cannot be used; `faults` has one line for each reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Table:
    """One TOML table; a bad value is noted and replaced by a harmless one."""

    def __init__(self, data: Mapping[str, Any], where: str, faults: list[str]) -> None:
        self._data = data
        self._where = where
        self._faults = faults
        self._asked: set[str] = set()

    def fault(self, key: str, reason: str) -> None:
        self._faults.append(f"{self._where}: key {key!r} {reason}")

    def has(self, key: str) -> bool:
        return key in self._data

    def text(self, key: str, default: str | None = None) -> str:
        return self._value(key, str, "a text", default=default or "", required=default is None)

    def filled(self, key: str) -> str:
        """Return a text that must not be empty."""
        value = self.text(key)
        if self.has(key) and not value.strip():
            self.fault(key, "is empty")
        return value

    def web_address(self, key: str, default: str) -> str:
        """Return an address that a page may link to: one that is followed, and never one that is run."""
        value = self.text(key, default)
        if self.has(key) and value and not WEB_ADDRESS.fullmatch(value):
            self.fault(key, f"is no address that begins with https:// or http://: {value!r}")
        return value

    def slug(self, key: str) -> str:
        value = self.text(key)
        if value and not SLUG.fullmatch(value):
            self.fault(key, f"is no slug of lower-case letters, digits and dashes: {value!r}")
        return value

    def number(self, key: str) -> int:
        return self._value(key, int, "a whole number", default=0, required=True)

    def optional_number(self, key: str) -> int | None:
        return self.number(key) if self.has(key) else None

    def flag(self, key: str) -> bool:
        return self._value(key, bool, "true or false", default=False, required=True)

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        value = self.text(key)
        if self.has(key) and value not in allowed:
            self.fault(key, f"must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def word(self, key: str, words: type[Word]) -> Word:
        value = self.choice(key, [word.value for word in words])
        return words(value) if value in list(words) else next(iter(words))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._list(key, str, "texts"))

    def numbers(self, key: str) -> tuple[int, ...]:
        return tuple(self._list(key, int, "whole numbers"))

    def lines(self) -> tuple[int, int] | None:
        """Return the optional pair of first and last line in the source's document."""
        if not self.has("lines"):
            return None
        found = self.numbers("lines")
        if len(found) != 2 or not 1 <= found[0] <= found[1]:
            self.fault("lines", f"must be the first and the last line, not {list(found)}")
            return None
        return found[0], found[1]

    def table(self, key: str) -> "Table":
        value = self._value(key, dict, "a table", default={}, required=True)
        return Table(value, f"{self._where}: {key}", self._faults)

    def tables(self, key: str, make: Callable[["Table"], T]) -> tuple[T, ...]:
        """Return the inline tables of a list, each made into a value and checked for unknown keys."""
        made = []
        for position, item in enumerate(self._list(key, dict, "tables")):
            table = Table(item, f"{self._where}: {key}[{position}]", self._faults)
            made.append(make(table))
            table.finish()
        return tuple(made)

    def raw(self, key: str) -> Any:
        self._asked.add(key)
        if key not in self._data:
            self.fault(key, "is missing")
        return self._data.get(key)

    def finish(self) -> None:
        for key in self._data:
            if key not in self._asked:
                self.fault(key, "is not known here")

    def _value(self, key: str, kind: type[T], words: str, *, default: T, required: bool) -> T:
        self._asked.add(key)
        if key not in self._data:
            if required:
                self.fault(key, "is missing")
            return default
        value = self._data[key]
        if not _is(value, kind):
            self.fault(key, f"must be {words}, not {value!r}")
            return default
        return value  # type: ignore[no-any-return]  # _is() has just looked

    def _list(self, key: str, kind: type[T], words: str) -> list[T]:
        self._asked.add(key)
        value = self._data.get(key, [])
        if not isinstance(value, list) or not all(_is(item, kind) for item in value):
            self.fault(key, f"must be a list of {words}")
            return []
        return value


def _is(value: object, kind: type) -> bool:
    """True is no whole number in these files, although Python counts it as one."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
