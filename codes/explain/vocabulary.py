"""The words by which the recogniser of pasted text knows codes. Pure."""

import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from codes.catalogue.values import HTTP, STROOM, Catalogue
from codes.explain.findings import Vocabulary
from codes.explain.words import REASONS, REASONS_ABROAD


class Name(NamedTuple):
    """One name that a code has or had, in the catalogue's words or in a source's."""

    registry: str
    code: int
    name: str


_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
CONSTANTS: Mapping[str, int] = _DATA["constants"]
MESSAGES: Mapping[str, int] = _DATA["messages"]
COMMON_CONSTANTS = frozenset(_DATA["common"]["constants"])
COMMON_MESSAGES = frozenset(_DATA["common"]["messages"])


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
    """Sort the names of all codes into those that need their number next to them and those that speak alone."""
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
    for code, names_of_servers in (*REASONS.items(), *REASONS_ABROAD.items()):
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
