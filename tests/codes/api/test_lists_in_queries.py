"""Codes in the query: repeated or separated by commas, with or without blanks."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("query", ["codes=401&codes=403", "codes=401,%20403"])
def test_codes_of_a_comparison_add_up(site: Client, query: str) -> None:
    expected = site.get("/api/v1/codes/compare/?codes=401,403")
    assert expected.status_code == 200
    assert site.get(f"/api/v1/codes/compare/?{query}").json() == expected.json()


def test_codes_of_a_list_add_up(site: Client) -> None:
    one = site.get("/api/v1/codes/?code__in=404,503&fields=code").json()
    two = site.get("/api/v1/codes/?code__in=404&code__in=503&fields=code").json()
    assert one["results"] == two["results"]
    assert [row["code"] for row in one["results"]] == [404, 503]
