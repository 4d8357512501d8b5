"""Examples of the OpenAPI description. Swagger's *Execute* sends them as they are, so they fit data of `make demo`.

Answers are those that a test recorded, shortened: `answers.json`.

An optional parameter that narrows a list has none: its example would be sent too, and the list be empty.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

#: Written by tests/portal/rest/test_contract.py: by operation and status, the answer in each of its forms.
ANSWERS = Path(__file__).with_name("answers.json")

_RULE = {"action": "allow", "subject_dn": "CN=client-a,OU=Test,O=Example,C=GB", "expires": "2031-01-01T00:00:00Z"}
_RECEIPT_RULE = {
    "name": "test systems stay out",
    "action": "Reject",
    "conditions": [
        {"field": "Environment", "operator": "one_of", "values": ["TEST", "DEV"]},
        {"field": "remote_address", "operator": "equal", "values": ["192.0.2.0/24"], "negated": True},
    ],
    "shadow": True,
}
#: A body for each operation that takes JSON. The tests send them.
BODIES: Mapping[str, Any] = {
    "auth_token_create": {
        "username": "admin",
        "password": "correct horse battery",
        "name": "nightly report",
        "scopes": ["read"],
        "expires": "2031-01-01T00:00:00Z",
    },
    "tokens_create": {"name": "nightly report, next", "scopes": ["read"]},
    "codes_explain": {"text": "HTTP/1.1 406 Not Acceptable\nStroom-Status: 110"},
    "feeds_create": {"name": "MAIL-GATEWAY-EVENTS", "owner": "Mail team", "comment": "ticket 4711"},
    "feeds_update": {
        "certificate_policy": "restricted",
        "certificate_rules": [_RULE],
        "description": "What the mail gateway let through and stopped.",
        "comment": "only client-a may send",
    },
    "feeds_partial_update": {"status": "Drop", "comment": "load test until Friday"},
    "feeds_bulk": [
        {"name": "WEB-ACCESS-EVENTS", "status": "Receive"},
        {"name": "DNS-QUERIES", "status": "Receive", "comment": "ticket 4712"},
    ],
    "feeds_bulk_create": [
        {"name": "PRINT-SERVER-EVENTS", "owner": "Print team"},
        {"name": "BADGE-READER-EVENTS", "status": "Reject", "comment": "ticket 4713"},
    ],
    "feeds_bulk_delete": [
        {"name": "PRINT-SERVER-EVENTS", "comment": "ticket 4714"},
        {"name": "BADGE-READER-EVENTS"},
    ],
    "proposals_approve": {"comment": "asked Finance"},
    "proposals_decline": {"comment": "the sender has a certificate now"},
    "proposals_withdraw": {"comment": "a slip"},
    "receipt_rules_create": _RECEIPT_RULE,
    "receipt_rules_update": {**_RECEIPT_RULE, "shadow": False, "comment": "seen in shadow for a week"},
    "receipt_rules_partial_update": {"enabled": False, "comment": "the test system is gone"},
    "receipt_rules_test": _RECEIPT_RULE,
    "receipt_rules_approve": {"comment": "looked at what it matched in shadow"},
    "receipt_rules_decline": {"comment": "too wide"},
    "receipt_check": {
        "headers": {"Feed": "WEB-ACCESS-EVENTS", "Compression": "GZIP"},
        "sender_dn": "CN=client-a,OU=Test,O=Example,C=GB",
    },
}
#: Values of parameters without which there is nothing to ask, by the operation where it needs one of its own.
PARAMETERS: Mapping[str, Any] = {
    "registry": "http",
    "code": "503",
    "owner": "ietf",
    "key": "4xx",
    "name": "WEB-ACCESS-EVENTS",
    "codes": "301,302,307,308",
}
PARAMETERS_OF: Mapping[str, Mapping[str, Any]] = {
    "codes_lookup": {"http": 406, "stroom": 110},
    "codes_headers_retrieve": {"slug": "retry-after"},
    "codes_sources_retrieve": {"slug": "iana"},
    "codes_vendors_retrieve": {"slug": "nginx"},
    "feeds_update": {"name": "MAIL-GATEWAY-EVENTS"},
    "feeds_destroy": {"name": "MAIL-GATEWAY-EVENTS"},
}


def add_examples(paths: Mapping[str, Mapping[str, Any]]) -> None:
    """Give each body of JSON, and each parameter that has to be given, its example."""
    for operation in (operation for methods in paths.values() for operation in methods.values()):
        name = operation["operationId"]
        for parameter in operation.get("parameters", ()):
            own = PARAMETERS_OF.get(name, {}).get(parameter["name"])
            if own is None and parameter.get("required"):
                own = PARAMETERS.get(parameter["name"])
            if own is not None:
                parameter["example"] = own
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None and name in BODIES:
            body.pop("examples", None)
            body["example"] = BODIES[name]


def add_answers(operations: Iterable[dict[str, Any]]) -> None:
    """Give each answer of success that has a body its example."""
    answers = json.loads(ANSWERS.read_text(encoding="utf-8"))
    for operation in operations:
        known = answers.get(operation["operationId"], {})
        for status, response in operation["responses"].items():
            for form, body in response.get("content", {}).items() if "$ref" not in response else ():
                if form in known.get(status, {}):
                    body["example"] = known[status][form]
