"""`retry.json`: the verdict of each number, and what a sender of data does with its copy."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from codes.api.retry import DECISIONS, FORMAT
from codes.catalogue.values import Catalogue

pytestmark = pytest.mark.django_db

FUNCTION = Path(__file__).parents[3] / "clients" / "retry" / "retry.py"


@pytest.fixture
def retry(site: Client) -> dict[str, Any]:
    content: dict[str, Any] = site.get("/api/v1/codes/retry.json").json()
    return content


@pytest.fixture(scope="module")
def function() -> Any:
    spec = importlib.util.spec_from_file_location("retry_of_a_sender", FUNCTION)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_has_each_number_and_says_its_version(retry: dict[str, Any], authored: Catalogue) -> None:
    assert retry["format"] == FORMAT
    for registry in ("http", "stroom"):
        numbers = {str(code.code) for code in authored.codes if code.registry == registry}
        assert retry[registry].keys() == retry["details"][registry].keys() == numbers
        assert retry["delivery"][registry].keys() == numbers
    assert set(retry[registry].values()) <= retry["verdicts"].keys()


def test_r1_only_http_200_with_stroom_0_lets_a_sender_delete(retry: dict[str, Any]) -> None:
    delivery = retry["delivery"]
    assert delivery["stored"] == {"http_status": 200, "stroom_status": 0}
    kept = {
        (registry, number): decision["keep_data"]
        for registry in ("http", "stroom")
        for number, decision in delivery[registry].items()
    }
    assert [key for key, keep in kept.items() if not keep] == [("stroom", "0")]
    assert delivery["stroom"]["0"]["decision"] == "delete"
    assert delivery["http"]["200"] == {"decision": "hold", "keep_data": True}


def test_each_decision_is_that_of_the_functions(retry: dict[str, Any], function: Any) -> None:
    delivery = retry["delivery"]
    assert delivery["decisions"] == DECISIONS
    for number, found in delivery["stroom"].items():
        http = 200 if number == "0" else 406
        assert function.after_delivery(http, number)[0] == found["decision"], number
    for number, found in delivery["http"].items():
        assert function.after_delivery(int(number))[0] == found["decision"], number


def test_the_rules_for_other_numbers_are_those_of_the_functions(retry: dict[str, Any], function: Any) -> None:
    delivery, others = retry["delivery"], retry["delivery"]["others"]
    assert function.after_delivery(0)[0] == others["no_answer"]
    for number in range(100, 1000):
        if str(number) not in delivery["http"]:
            kind = "5xx" if 500 <= number <= 599 else "any"
            assert function.after_delivery(number)[0] == others[kind], number
    rule = delivery["retry_after"]
    assert function.after_delivery(503)[1] == rule["default_seconds"]
    assert function.after_delivery(503, "", "9" * 30)[1] == rule["most_seconds"]
    assert function.after_delivery(406, "300", "5") == ("hold", 0)
    assert rule["counts_with"] == "again"


def test_the_copy_of_the_documentation_is_the_same(site: Client, retry: dict[str, Any]) -> None:
    assert json.loads(site.get("/docs/retry/retry.json").content) == retry
