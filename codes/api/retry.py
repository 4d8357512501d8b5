"""Retry verdicts for programs: `retry.json`, made once for each load and kept as bytes."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from codes.api.parts import RetrySerializer
from codes.catalogue.values import HTTP, STROOM, Verdict
from codes.labels import VERDICTS
from codes.lookup import FoundCode, all_codes

#: Version of the file's shape. Keys may be added within a version; raise it when one changes or leaves.
FORMAT = 1
DELETE, AGAIN, HOLD = "delete", "again", "hold"
DECISIONS: Mapping[str, str] = {
    DELETE: "Final: the data is stored there. Delete your copy.",
    AGAIN: "Later: keep the data and send it again after a wait.",
    HOLD: "Never by itself: keep the data and tell a person, who changes something first.",
}
LATER = frozenset({Verdict.AS_IS_LATER, Verdict.AFTER_WAIT})
#: The one Stroom-Status after which a sender may delete, and only with the one HTTP status.
STORED = {"http_status": 200, "stroom_status": 0}
RETRY_AFTER = {
    "counts_with": AGAIN,
    "forms": ["seconds", "HTTP date"],
    "default_seconds": 60,
    "most_seconds": 86400,
}
#: Numbers that the tables do not have, by the HTTP status. A Stroom-Status without an entry does not count.
OTHERS = {"no_answer": AGAIN, "5xx": AGAIN, "any": HOLD}


@lru_cache(maxsize=2)
def retry_json(digest: str) -> bytes:
    """Return the verdict of each number, the advice of each owner, and what a sender of data decides."""
    codes = all_codes()
    content = {
        "format": FORMAT,
        "digest": digest,
        "verdicts": VERDICTS,
        **{registry: _verdicts(codes, registry) for registry in (HTTP, STROOM)},
        "details": {registry: _details(codes, registry) for registry in (HTTP, STROOM)},
        "delivery": {
            "decisions": DECISIONS,
            "stored": STORED,
            "retry_after": RETRY_AFTER,
            **{registry: _decisions(codes, registry) for registry in (STROOM, HTTP)},
            "others": OTHERS,
        },
    }
    return json.dumps(content).encode()


def _verdicts(codes: Iterable[FoundCode], registry: str) -> dict[str, str]:
    return {str(found.code): found.meanings[0].retry_verdict for found in _of(codes, registry)}


def _details(codes: Iterable[FoundCode], registry: str) -> dict[str, dict[str, Any]]:
    return {
        str(found.code): {meaning.owner_id: RetrySerializer(meaning.retry).data for meaning in found.meanings}
        for found in _of(codes, registry)
    }


def _decisions(codes: Iterable[FoundCode], registry: str) -> dict[str, dict[str, Any]]:
    return {str(found.code): _decision(found) for found in _of(codes, registry)}


def _decision(found: FoundCode) -> dict[str, Any]:
    """Return what a sender of data does with its copy: an HTTP status alone never lets it delete."""
    first = found.meanings[0]
    if found.registry.slug == STROOM and found.code == STORED["stroom_status"]:
        decision = DELETE
    else:
        decision = AGAIN if first.retry_verdict in LATER else HOLD
    return {"decision": decision, "keep_data": decision != DELETE}


def _of(codes: Iterable[FoundCode], registry: str) -> Iterable[FoundCode]:
    return (found for found in codes if found.registry.slug == registry)
