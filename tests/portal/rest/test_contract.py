"""Every operation of the OpenAPI description is brought to each answer of success that it describes.

The answers are compared with the description by schemathesis, which generated clients agree with. An operation, a
status or a form of answer that no call reaches fails the test: what was never looked at is not known to be right.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from schemathesis.specs.openapi.checks import positive_data_acceptance

from codes import loading
from feeds.models import Receipt, ReceiptRuleMatch
from portal.models import ApiToken
from tests.calls import Caller, superuser
from tests.factories import make_receipt
from tests.feeds.api.test_receipts import make_count, make_sample
from tests.live import Live, running
from tests.portal.rest import answers
from tests.portal.rest.answers import example_of, shape

#: Bytes that no example shows.
WITHOUT_EXAMPLE = {"application/octet-stream", "application/zip"}
METHODS = ("get", "post", "put", "patch", "delete")
#: Values of what the addresses name, where the description has no example of its own.
PATHS: dict[str, Any] = {"code": "451", "owner": "microsoft"}

schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", WSGIHandler())


@schemathesis.serializer("application/zip", "text/csv", "application/octet-stream")
def raw(ctx: schemathesis.SerializationContext, value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        operation["operationId"]: (path, method, operation)
        for path, item in schema.raw_schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def described() -> set[tuple[str, int, str]]:
    """Each operation with its answers of success, 304 included, and the forms of each."""
    return {
        (name, int(status), form)
        for name, (_, _, operation) in operations().items()
        for status, answer in operation["responses"].items()
        if status < "4"
        for form in answer.get("content", {"": None})
    }


class Contract:
    """Calls operations by their ids, and remembers which answers came back."""

    def __init__(self) -> None:
        self.reached: set[tuple[str, int, str]] = set()
        self.known = operations()
        self.recorded: dict[str, dict[str, dict[str, Any]]] = {}

    def call(self, operation_id: str, who: Caller, status: int = 200, body: Any = None, **how: Any) -> Any:
        path, method, operation = self.known[operation_id]
        wanted = re.findall(r"{(\w+)}", path)
        examples = {found["name"]: found.get("example") for found in operation.get("parameters", ())}
        case = schema[path][method.upper()].Case(
            path_parameters={key: how.get(key, PATHS.get(key, examples.get(key))) for key in wanted},
            query={key: str(value) for key, value in how.get("query", {}).items()},
            headers={**who.headers, **how.get("headers", {})},
            media_type=how.get("kind", "application/json") if body is not None else None,
            **({} if body is None else {"body": body}),
        )
        answer = case.call_and_validate(excluded_checks=[positive_data_acceptance])
        assert answer.status_code == status, (operation_id, answer.status_code, answer.content[:500])
        form = str((answer.headers.get("content-type") or [""])[0]).partition(";")[0] if answer.content else ""
        self.reached.add((operation_id, answer.status_code, form))
        example = example_of(answer.content, form) if answer.content and status < 300 else None
        if example is not None:
            forms = self.recorded.setdefault(operation_id, {}).setdefault(str(status), {})
            forms[form] = max(forms.get(form, ""), example, key=lambda one: len(json.dumps(one)))
        return answer

    def read(self, operation_id: str, who: Caller, **how: Any) -> Any:
        """Also as a table where there is one, and once more when it is known."""
        answer = self.call(operation_id, who, **how)
        tag = answer.headers["etag"][0]
        again = self.call(operation_id, who, 304, **{**how, "headers": {"If-None-Match": tag}})
        assert again.headers["etag"] == [tag], operation_id
        if f"{operation_id}_csv" in self.known:
            self.call(f"{operation_id}_csv", who, **how)
        return answer


@pytest.fixture
def contract(db: None) -> Iterator[Contract]:
    loading.load()
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield Contract()
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def receipt(settings: Any, tmp_path: Path) -> Callable[[], Receipt]:
    """Makes a receipt whose file is there."""
    settings.STORE_DIR = tmp_path / "store"

    def make() -> Receipt:
        made = make_receipt("WEB-ACCESS-EVENTS", content=b"an event\n")
        path = settings.STORE_DIR / made.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"an event\n")
        return made

    return make


def the_catalogue(contract: Contract, who: Caller) -> None:
    queries = {"codes_lookup": {"http": 406, "stroom": 110}, "codes_compare": {"codes": "301,302,stroom/110"}}
    for name, (_, method, operation) in contract.known.items():
        if method == "get" and not any(operation.get("security", ())):
            if name.removesuffix("_csv") in contract.known and name.endswith("_csv"):
                continue  # read with its list
            slugs = {key: value["slug"] for key, value in SLUGS.items() if key == name}
            contract.read(name, who, query=queries.get(name, {}), **({"slug": slugs[name]} if slugs else {}))
    pasted = {"text": "HTTP/1.1 406 Not Acceptable\nStroom-Status: 110"}
    for form in ("application/json", "text/plain"):
        contract.call("codes_explain", who, body=pasted, headers={"Accept": form})


SLUGS = {
    "codes_headers_retrieve": {"slug": "retry-after"},
    "codes_sources_retrieve": {"slug": "iana"},
    "codes_vendors_retrieve": {"slug": "nginx"},
}


def the_feeds(contract: Contract, who: Caller) -> None:
    for name in ("FEED-A", "FEED-B"):
        contract.call("feeds_create", who, 201, {"name": name, "comment": "made"})
    contract.call("feeds_update", who, 201, {}, name="FEED-C")
    rule = {"action": "allow", "subject_dn": "CN=a,O=Example,C=GB", "expires": "2031-01-01T00:00:00Z"}
    guarded = {"certificate_policy": "restricted", "certificate_rules": [rule]}
    contract.call("feeds_update", who, 200, guarded, name="FEED-A")
    contract.call("feeds_partial_update", who, 200, {"status": "Drop", "labels": ["x"]}, name="FEED-A")
    changes = [{"name": "FEED-A", "owner": "o"}, {"name": "FEED-B", "status": "Reject"}]
    changed = contract.call("feeds_bulk", who, 200, changes)
    assert [feed["name"] for feed in json.loads(changed.content)] == ["FEED-A", "FEED-B"]
    contract.call("feeds_bulk_create", who, 201, [{"name": "FEED-M"}, {"name": "FEED-N", "status": "Drop"}])
    contract.call("feeds_bulk_delete", who, 204, [{"name": "FEED-M", "version": 1}, {"name": "FEED-N"}])
    contract.read("feeds_list", who)
    contract.read("feeds_retrieve", who, name="FEED-A")
    contract.read("feeds_history", who, name="FEED-A")
    for form in ("stroom", "csv", "json"):
        contract.read("feeds_export", who, query={"format": form})
    table = b"name,status\r\nFEED-B,Drop\r\nFEED-D,Receive\r\n"
    for query in ({}, {"dry_run": "false"}):
        contract.call("feeds_import", who, 200, table, kind="text/csv", query=query)
    contract.call("feeds_destroy", who, 204, name="FEED-C")


def the_receipts(contract: Contract, who: Caller, made: Receipt) -> None:
    make_count()
    make_sample()
    contract.call("receipt_check", who, body={"headers": {"Feed": "FEED-A"}, "sender_dn": None})
    contract.read("receipts_list", who)
    contract.call("receipts_list", who, query={"ordering": "received_at"})
    contract.read("receipts_retrieve", who, receipt_id=made.receipt_id)
    contract.read("receipts_content", who, receipt_id=made.receipt_id)
    contract.call("receipts_content", who, 206, headers={"Range": "bytes=0-1"}, receipt_id=made.receipt_id)
    contract.read("rejections_list", who)
    contract.read("deliveries_list", who)
    contract.read("changes_list", who)
    contract.call("changes_list", who, query={"ordering": "at"})
    contract.call("index_retrieve", who)


def the_tokens(contract: Contract, who: Caller) -> None:
    User.objects.create_user("somebody", password="correct horse battery")
    wanted = {"username": "somebody", "password": "correct horse battery"}
    made = json.loads(contract.call("auth_token_create", who, 201, wanted).content)
    somebody = Caller(User.objects.get(username="somebody"))
    contract.read("tokens_list", somebody)
    contract.read("tokens_retrieve", somebody, token_id=made["id"])
    contract.call("tokens_create", somebody, 201, {"name": "the next", "scopes": ["read"]})
    contract.read("tokens_current_retrieve", somebody)
    contract.call("tokens_revoke", somebody, 204, token_id=made["id"])
    contract.call("tokens_current_revoke", Caller(somebody.user), 204)
    contract.call("tokens_revoke_all", somebody, 204, query={"all": "true"})


def the_proposals(contract: Contract, who: Caller) -> None:
    """What waits for a second person."""
    other, guarded = superuser(), {"certificate_policy": "required"}
    waiting = [
        contract.call("feeds_create", who, 202, {"name": "FEED-X", **guarded}),
        contract.call("feeds_update", who, 202, guarded, name="FEED-Y"),
        contract.call("feeds_partial_update", who, 202, guarded, name="FEED-B"),
        contract.call("feeds_bulk", who, 202, [{"name": "FEED-D", **guarded}]),
        contract.call("feeds_destroy", who, 202, name="FEED-A"),
        contract.call("feeds_bulk_create", who, 202, [{"name": "FEED-M", **guarded}, {"name": "FEED-N"}]),
        contract.call("feeds_bulk_delete", who, 202, [{"name": "FEED-A"}]),
        contract.call(
            "feeds_import", who, 202, b"name,certificate_policy\r\nFEED-Z,required\r\n", kind="text/csv",
            query={"dry_run": "false"},
        ),
    ]  # fmt: skip
    numbers = [json.loads(answer.content)["id"] for answer in waiting]
    contract.read("proposals_list", who)
    contract.read("proposals_retrieve", who, proposal_id=numbers[0])
    contract.call("proposals_approve", other, body={"comment": "yes"}, proposal_id=numbers[0])
    contract.call("proposals_decline", other, body={"comment": "no"}, proposal_id=numbers[1])
    contract.call("proposals_withdraw", who, body={"comment": "a slip"}, proposal_id=numbers[2])


def the_rules(contract: Contract, who: Caller) -> int:
    """Receipt rules as one person changes them; returns the number of one that is there."""
    body = {"name": "rule", "conditions": [{"field": "System", "operator": "equal", "values": ["X"]}]}
    made = [json.loads(contract.call("receipt_rules_create", who, 201, body).content)["id"] for _ in range(2)]
    contract.call("receipt_rules_update", who, 200, body, rule_id=made[0])
    contract.call("receipt_rules_partial_update", who, 200, {"shadow": True}, rule_id=made[0])
    contract.call("receipt_rules_test", who, 200, body)
    hour = datetime(2026, 2, 24, 18, tzinfo=UTC)
    ReceiptRuleMatch.objects.create(rule_id=made[0], hour=hour, feed="FEED-A", sender="x", applied=True, count=1)
    contract.read("receipt_rules_list", who)
    for name in ("receipt_rules_retrieve", "receipt_rules_history", "receipt_rules_matches"):
        contract.read(name, who, rule_id=made[0])
    contract.call("receipt_rules_destroy", who, 204, rule_id=made[1])
    return int(made[0])


def the_waiting_rules(contract: Contract, who: Caller, rule: int) -> None:
    """Receipt rules as a second person has to approve them."""
    other, body = superuser(), {"name": "rule"}
    made = json.loads(contract.call("receipt_rules_create", who, 202, body).content)["id"]
    contract.call("receipt_rules_approve", other, 200, {"comment": "yes"}, rule_id=made)
    contract.call("receipt_rules_update", who, 202, body, rule_id=rule)
    contract.call("receipt_rules_partial_update", who, 202, {"shadow": True}, rule_id=rule)
    contract.call("receipt_rules_decline", other, 200, {"comment": "no"}, rule_id=rule)
    contract.call("receipt_rules_destroy", who, 202, rule_id=rule)
    contract.call("receipt_rules_approve", other, 204, {"comment": "yes"}, rule_id=rule)


# Whoever reads an answer through WSGI without a server leaves its file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_s29_every_operation_gives_each_answer_of_success_that_it_describes(
    contract: Contract, receipt: Callable[[], Receipt], settings: Any
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, anonymous_rate=None)
    who = superuser()
    the_catalogue(contract, who)
    the_feeds(contract, who)
    the_receipts(contract, who, receipt())
    the_tokens(contract, who)
    rule = the_rules(contract, who)
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    the_proposals(contract, who)
    the_waiting_rules(contract, who, rule)
    assert described() - contract.reached == set()
    assert contract.reached - described() == set()
    if os.environ.get("WRITE_EXAMPLES"):
        answers.write(contract.recorded)
    wanted, found = (
        {key: shape(value) for key, value in one.items()} for one in (contract.recorded, answers.read())
    )
    assert wanted == found, (
        "the examples are of another shape: run this test with WRITE_EXAMPLES=1, then make schema"
    )
    for name, _, operation in ((key, *value[1:]) for key, value in operations().items()):
        for status, response in operation["responses"].items():
            for form, body in response.get("content", {}).items() if status < "3" else ():
                assert "example" in body or form in WITHOUT_EXAMPLE, (name, status, form)


# --- what Swagger's button sends ---

#: What cannot succeed by pressing a button alone: the user's own password, a file, ids of what there is.
NEED_AN_INPUT = {"auth_token_create", "feeds_import"}
IDS = {"receipt_id", "token_id", "proposal_id", "rule_id"}
#: There only where a second person is wanted; and what would take away the token that the rest needs.
LEFT_OUT = {"proposals_list", "proposals_list_csv", "tokens_revoke_all"}


@pytest.fixture
def demo(tmp_path: Path, transactional_db: None) -> Iterator[Live]:
    """A portal with what `make demo` makes."""
    User.objects.create_superuser("admin")
    loading.load()
    with running(tmp_path) as live:
        call_command("demo", url=f"http://127.0.0.1:{live.port}", deliveries=60, stdout=StringIO())
        live.worker.service.counts.flush()
        yield live


def execute(live: Live, name: str, secret: str) -> requests.Response:
    """Press Execute: every parameter and body that has an example or a default is filled in, and sent."""
    path, method, operation = operations()[name]
    filled: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for parameter in operation.get("parameters", ()):
        shape = parameter["schema"]
        offered = [parameter.get("example"), shape.get("example"), shape.get("default")]
        if parameter.get("required"):
            offered += shape.get("enum", [])
        value = next((value for value in offered if value is not None), None)
        if value is not None:
            filled[parameter["in"]][parameter["name"]] = value
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return requests.request(
        method,
        f"http://127.0.0.1:{live.port}{path.format(**filled['path'])}",
        params=filled["query"],
        json=body.get("example"),
        headers={"Authorization": f"Bearer {secret}", **filled["header"]},
        timeout=30,
    )


def test_swagger_s_execute_finds_what_the_demo_made(demo: Live) -> None:
    _, secret = ApiToken.objects.issue(User.objects.get(), name="swagger", scopes=["read", "write", "check"])
    order = sorted(operations(), key=lambda name: (METHODS.index(operations()[name][1]), name))
    for name in order:
        path, method, _ = operations()[name]
        if name in NEED_AN_INPUT | LEFT_OUT or IDS & set(re.findall(r"{(\w+)}", path)):
            continue
        answer = execute(demo, name, secret)
        assert answer.status_code < 300, (name, answer.status_code, answer.text[:300])
        found = answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else {}
        if method == "get" and isinstance(found, dict) and "results" in found:
            assert found["results"], f"{name} is empty: {answer.url}"
