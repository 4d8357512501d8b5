"""A query that is not known, or cannot be used, is refused with its name, on writes too and before all else."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.test import Client

from codes import loading
from feeds.models import Feed
from tests.calls import anonymous, problem_of, superuser
from tests.factories import make_feed

pytestmark = pytest.mark.django_db
DESCRIPTION = Path(__file__).parents[3] / "docs" / "openapi.yaml"
KINDS = ["application/json", "text/plain", "text/csv", "application/x-www-form-urlencoded"]
QUERIES = [
    "format=nonsense",
    "format=",
    "format=csv",
    "format=json&format=json",
    "nonsense=1",
    "fields=name",
    "limit=1",
]


def writes() -> Iterator[tuple[str, str]]:
    """Every method and address that is not read, with something filled in."""
    for path, operations in yaml.safe_load(DESCRIPTION.read_text())["paths"].items():
        address = re.sub(r"\{.*?\}", "1", path.replace("{name}", "FEED-A"))
        yield from (
            (method.upper(), address) for method in ("post", "put", "patch", "delete") if method in operations
        )


def test_a_write_with_a_wrong_query_is_refused() -> None:
    make_feed("FEED-A")
    loading.load()
    client, asked = Client(headers=superuser().headers), list(writes())
    assert ("POST", "/api/v1/codes/explain/") in asked
    assert len({method for method, _ in asked}) == 4
    for (method, address), query, kind in itertools.product(asked, QUERIES, KINDS):
        answer = client.generic(method, f"{address}?{query}", b'{"text": "404"}', content_type=kind)
        problem = problem_of(answer, 400)
        assert [error.get("parameter") for error in problem["errors"]] == [query.partition("=")[0]], (
            method,
            address,
        )
    assert Feed.objects.get().name == "FEED-A"


def test_an_empty_format_is_no_format_on_reads_either() -> None:
    loading.load()
    for path in ("codes/", "codes/http/404/", "codes/export.json", "sources/"):
        problem = problem_of(anonymous().get(f"/api/v1/{path}?format="), 400)
        assert [error["parameter"] for error in problem["errors"]] == ["format"]


def test_an_empty_parameter_is_refused_on_reads_of_the_catalogue_too() -> None:
    loading.load()
    for path, name in (
        ("codes/", "registry"),
        ("codes/", "vendor"),
        ("codes/lookup/", "http"),
        ("sources/", "limit"),
    ):
        problem = problem_of(anonymous().get(f"/api/v1/{path}?{name}="), 400)
        assert [error["parameter"] for error in problem["errors"]] == [name]
        assert "leave it out" in problem["detail"]
