"""Query strings of the catalogue: numbers, codes and pairs, read in the same way by the pages and by the API."""

import re

from codes.catalogue.values import HTTP, STROOM
from codes.explain.pairs import Pair, judge, unanswered
from codes.explain.unanswered import stands_for_no_answer
from codes.lookup import NUMBERS, FoundCode, find_code, find_codes
from portal.rest.problems import BadQuery

MAX_NUMBERS = 50
# The numbers that each registry can have, in words.
POSSIBLE = {HTTP: "an HTTP status from 100 to 999", STROOM: "a Stroom-Status from 0 to 999"}


def asked_pair(http: str, stroom: str) -> Pair:
    """Return the pair that a query names; 000, 0 and -1 as the HTTP status stand for no answer.

    Raises:
        BadQuery: the registry has no such number.
    """
    if stands_for_no_answer(http):
        return unanswered(asked_code(STROOM, stroom) if NUMBERS[STROOM].fullmatch(stroom) else None)
    return judge(asked_code(HTTP, http), asked_code(STROOM, stroom))


def asked_code(registry: str, number: str) -> FoundCode | None:
    """Return the code that a query names; None where it names none.

    Raises:
        BadQuery: the registry has no such number.
    """
    if not number:
        return None
    found = find_code(registry, number)
    if found is None:
        raise BadQuery({registry: f"must be {POSSIBLE[registry]}, not {number[:40]!r}"})
    return found


def compared_codes(registry: str, numbers: str) -> list[FoundCode]:
    """Return the codes to compare, each once, in the order asked for.

    Raises:
        BadQuery: the registry is unknown, or has no such number.
    """
    refuse_unknown_registry(registry)
    try:
        wanted = list(dict.fromkeys(read_codes(numbers, registry)))
    except ValueError as fault:
        raise BadQuery({"codes": str(fault)}) from fault
    found: dict[tuple[str, int], FoundCode] = {}
    for space in dict.fromkeys(space for space, _ in wanted):
        own = [str(number) for other, number in wanted if other == space]
        codes = find_codes(space, own)
        impossible = [number for number in own if number not in codes]
        if impossible:
            raise BadQuery({"codes": f"each must be {POSSIBLE[space]}, not {', '.join(impossible)}"})
        found |= {(space, int(number)): code for number, code in codes.items()}
    return [found[key] for key in wanted]


def refuse_unknown_registry(registry: str) -> None:
    """Refuse a registry that the catalogue does not have, and name those that it has.

    Raises:
        BadQuery: the registry is unknown.
    """
    if registry not in POSSIBLE:
        raise BadQuery({"registry": f"must be one of {', '.join(POSSIBLE)}, not {registry[:40]!r}"})


def read_numbers(text: str) -> list[int]:
    """Read numbers separated by commas.

    Raises:
        ValueError: a part is not a number of up to three digits, or there are too many.
    """
    if not text.strip():
        raise ValueError("give numbers separated by commas, such as 301,302")
    parts = [part.strip() for part in text.split(",")]
    wrong = [part for part in parts if not (part.isascii() and part.isdigit() and len(part) <= 3)]
    if wrong or len(parts) > MAX_NUMBERS:
        shown = ", ".join(wrong)[:80] or f"{len(parts)} of them"
        raise ValueError(f"must be up to {MAX_NUMBERS} numbers such as 301,302, not {shown!r}")
    return [int(part) for part in parts]


_WITH_REGISTRY = re.compile(rf"\s*(?:({HTTP}|{STROOM})[\s/:-]*)?([^,]*)", re.IGNORECASE)


def read_codes(text: str, registry: str) -> list[tuple[str, int]]:
    """Read numbers separated by commas; one may name its registry, as in stroom/110, the others take the given one.

    Raises:
        ValueError: as for `read_numbers`.
    """
    parts = [match for part in text.split(",") if (match := _WITH_REGISTRY.fullmatch(part))]
    numbers = read_numbers(",".join(match[2] for match in parts))
    return [((match[1] or registry).lower(), number) for match, number in zip(parts, numbers, strict=True)]
