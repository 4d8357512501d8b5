"""Words in which pages and terminals show the fixed values of the catalogue."""

from collections.abc import Mapping

VERDICTS: Mapping[str, str] = {
    "not_needed": "not needed",
    "as_is_later": "unchanged, later",
    "after_wait": "after a wait",
    "after_change": "after a change",
    "after_auth": "after authentication",
    "elsewhere": "at another address",
    "other_protocol": "over another protocol",
    "never": "never",
    "unknown": "no rule: do not repeat unchanged",
}
# For dense lists, where the word is next to the number.
SHORT_VERDICTS: Mapping[str, str] = {
    "not_needed": "",
    "as_is_later": "later",
    "after_wait": "wait",
    "after_change": "change",
    "after_auth": "log in",
    "elsewhere": "go there",
    "other_protocol": "protocol",
    "never": "never",
    "unknown": "",
}
STANDINGS: Mapping[str, str] = {
    "registered": "registered",
    "temporary": "temporary",
    "deprecated": "deprecated",
    "unused": "unused and reserved",
    "obsoleted": "obsoleted",
    "vendor-only": "vendor code",
    "unassigned": "not assigned",
    "invalid": "not a valid status",
}
CACHEABILITY: Mapping[str, str] = {
    "heuristic": "may be stored without an explicit header",
    "explicit": "only when a header allows it",
    "never": "must not be stored",
}
BODIES: Mapping[str, str] = {
    "none": "must be empty",
    "allowed": "allowed",
    "expected": "expected",
}
CARRIERS: Mapping[str, str] = {"wire": "sent to clients", "log": "seen in logs only, never sent"}
RELATIONS: Mapping[str, str] = {
    "use_instead": "Use instead",
    "confused_with": "Easily confused with",
    "similar": "Similar",
    "former": "Formerly",
}
SEVERITIES: Mapping[str, str] = {
    "high": "changes what you do",
    "medium": "worth knowing",
    "low": "wording",
    "info": "listing",
}
PROPER: Mapping[str, str] = {"http": "HTTP", "stroom": "Stroom", "rfc": "RFC"}
YES_NO: Mapping[bool, str] = {True: "yes", False: "no"}


def aspect_words(aspect: str) -> str:
    """Return an aspect's slug as words: `follow_method` is "follow method", `http_status` "HTTP status"."""
    words = aspect.replace("_", " ").replace("-", " ").split()
    return " ".join(PROPER.get(word, word) for word in words)
