"""Parsers of header fields and queries. Results are cached, so callers bound the length of the input."""

import re
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


@lru_cache(maxsize=1024)
def is_known(tag: bytes, known: bytes) -> bool:
    """Return whether If-None-Match has the tag, by weak comparison (RFC 9110, section 13.1.2)."""
    opaque = tag.removeprefix(b"W/")
    tags = {part.strip().removeprefix(b"W/") for part in known.split(b",")}
    return opaque in tags or b"*" in tags


@lru_cache(maxsize=256)
def accepts_gzip(header: bytes) -> bool:
    """Return whether Accept-Encoding allows gzip and does not prefer the plain form (RFC 9110, 12.5.3)."""
    weights = {"identity": 0.0}
    for part in header.decode("latin-1").lower().split(","):
        coding, _, parameters = part.partition(";")
        weights[coding.strip().removeprefix("x-")] = _weight(parameters)
    return weights.get("gzip", 0) > 0 and weights["gzip"] >= weights["identity"]


def _weight(parameters: str) -> float:
    """Return the value of `q`: 1 where it is missing, 0 where it is invalid."""
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    return float(value) if _WEIGHT.fullmatch(value.strip()) else 0.0


def cookie_names(header: bytes) -> frozenset[str]:
    """Return the names in a Cookie header."""
    return frozenset(part.partition("=")[0].strip() for part in header.decode("latin-1").split(";"))


@lru_cache(maxsize=1024)
def canonical(query: bytes) -> str:
    """Return the query sorted by name; values of one name keep their order."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    return urlencode(sorted(pairs, key=lambda pair: pair[0]), encoding="latin-1")
