"""The catalogue over REST, in the JSON that interface section 4 promises."""

import csv
import io
import json
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator

from codes.catalogue.values import Catalogue
from codes.models import LocalNote, Meaning

pytestmark = pytest.mark.django_db

API = "/api/v1"


def get(site: Client, address: str, status: int = 200) -> Any:
    answer = site.get(f"{API}/{address}")
    assert answer.status_code == status, answer.content[:400]
    return answer.json()


def test_the_list_has_one_item_for_each_registry_and_number(site: Client, authored: Catalogue) -> None:
    page = get(site, "codes/")
    assert list(page) == ["count", "next", "previous", "results"]
    assert page["count"] == len(page["results"]) == len(authored.codes)
    keys = [(item["registry"], item["code"]) for item in page["results"]]
    assert keys == sorted(set(keys))
    item = next(item for item in page["results"] if item["code"] == 451)
    assert item == {
        "registry": "http",
        "code": 451,
        "name": "Unavailable For Legal Reasons",
        "owners": ["ietf", "microsoft"],
        "class": "4xx",
        "standing": "registered",
        "retry": item["retry"],
        "url": "/codes/http/451/",
    }


def test_one_code_has_the_promised_keys(site: Client) -> None:
    code = get(site, "codes/http/503/")
    assert {key: code[key] for key in ("registry", "code", "known", "valid", "treat_as", "class", "standing")} == {
        "registry": "http",
        "code": 503,
        "known": True,
        "valid": True,
        "treat_as": 503,
        "class": {"key": "5xx", "name": "Server Error"},
        "standing": "registered",
    }
    (meaning,) = code["meanings"]
    promised = {
        *("owner", "name", "former_names", "vendors", "summary", "what_to_do", "retry", "cacheability", "body"),
        *("headers", "specs", "related", "url"),
    }
    assert promised <= set(meaning)
    assert set(meaning["what_to_do"]) == {"sender", "server", "administrator"}
    retry = {"verdict": "after_wait", "same_request": True, "honours_retry_after": True, "idempotent_only": True}
    assert retry.items() <= meaning["retry"].items()
    assert {"name": "Retry-After", "direction": "response", "level": "may"}.items() <= meaning["headers"][0].items()
    spec = {"document": "RFC 9110", "section": "15.6.4", "current": True}
    assert spec.items() <= meaning["specs"][0].items()
    assert meaning["specs"][0]["url"] == "https://www.rfc-editor.org/rfc/rfc9110#section-15.6.4"
    assert all(set(relation) >= {"code", "kind", "when"} for relation in meaning["related"])
    assert meaning["url"] == "/codes/http/503/"
    assert code["local_notes"] == []


def test_entries_carry_the_exact_name_and_lines_of_the_source(site: Client) -> None:
    entries = {entry["source"]: entry for entry in get(site, "codes/http/503/")["entries"]}
    entry = entries["vendor-status-codes"]
    assert {"owner": "ietf", "name": "ServiceUnavailable", "lines": [259, 265]}.items() <= entry.items()
    assert {"key": "retry", "value": "after_change", "level": "should"} in entry["claims"]
    assert entry["local_note"] is None
    assert entries["iana"]["lines"] is None
    assert get(site, "codes/http/201/")["entries"][-1]["summary"]


def test_a_disagreement_has_positions_the_standard_and_advice(site: Client) -> None:
    items = {item["aspect"]: item for item in get(site, "codes/http/503/")["disagreements"]}
    item = items["retry"]
    assert item["severity"] == "high"
    assert {"vendor-status-codes", "rfc9110"} <= {position["source"] for position in item["positions"]}
    assert isinstance(item["standard"], str)
    assert item["advice"]


@pytest.mark.parametrize(
    ("address", "known", "valid", "treat_as"),
    [
        ("http/404", True, True, 404),
        ("http/471", False, True, 400),
        ("http/199", False, True, 100),
        ("http/597", False, True, 500),
        ("http/799", False, False, 500),
        ("http/600", False, False, 500),
        ("http/999", False, False, 500),
        ("stroom/0", True, True, 0),
        ("stroom/555", False, True, None),
    ],
)
def test_any_number_gets_an_answer(
    site: Client, address: str, known: bool, valid: bool, treat_as: int | None
) -> None:
    code = get(site, f"codes/{address}/")
    assert (code["known"], code["valid"], code["treat_as"]) == (known, valid, treat_as)
    assert isinstance(code["meanings"], list)
    assert bool(code["meanings"]) is known


@pytest.mark.parametrize(
    "address",
    [
        "http/12",
        "http/abc",
        "http/1000",
        "http/0404",
        "http/-1",
        "http/4.4",
        "stroom/1000",
        "stroom/00",
        "smtp/550",
    ],
)
def test_what_can_be_no_number_is_404_in_the_shape_of_a_problem(site: Client, address: str) -> None:
    answer = site.get(f"{API}/codes/{address}/")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/codes/http/404/"
    assert (problem["title"], problem["status"]) == ("Not Found", 404)
    assert problem["detail"]


def test_a_shared_number_has_both_meanings_and_a_permalink_for_each(site: Client) -> None:
    both = get(site, "codes/http/451/")
    assert [(m["owner"], m["url"]) for m in both["meanings"]] == [
        ("ietf", "/codes/http/451/ietf/"),
        ("microsoft", "/codes/http/451/microsoft/"),
    ]
    one = get(site, "codes/http/451/microsoft/")
    assert [meaning["owner"] for meaning in one["meanings"]] == ["microsoft"]
    assert {entry["owner"] for entry in one["entries"]} == {"microsoft"}
    get(site, "codes/http/451/google/", 404)
    assert get(site, "codes/http/499/")["standing"] == "vendor-only"
    assert get(site, "codes/http/499/")["disagreements"] == []


def test_stroom_codes_name_the_http_statuses_they_come_with(site: Client) -> None:
    assert get(site, "codes/stroom/310/")["http_statuses"] == [403, 401]
    assert get(site, "codes/http/404/")["http_statuses"] == []


def test_the_same_number_in_two_registries_stays_apart(site: Client) -> None:
    page = get(site, "codes/?code=100")
    assert [(item["registry"], item["name"]) for item in page["results"]] == [
        ("http", "Continue"),
        ("stroom", "Feed must be specified"),
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("registry=stroom&retry=not_needed", [0]),
        ("class=3xx&registry=http&standing=unused", [306]),
        ("owner=google", [308]),
        ("vendor=esri", [498, 499]),
        ("standing=temporary", [104]),
        ("source=api-response-codes&code__in=103,102,425", [103, 425]),
        ("header=proxy-authenticate", [407]),
        ("code__in=404,410&ordering=-code&registry=http", [410, 404]),
        ("q=teapot", [418]),
        ("q=payload+too+large", [413]),
        ("disagrees=true&code__in=503,499&registry=http", [503]),
        ("disagrees=false&code__in=503,499&registry=http", [499]),
        ("cacheable=heuristic&class=5xx&registry=http", [501]),
    ],
)
def test_filters(site: Client, query: str, expected: list[int]) -> None:
    assert [item["code"] for item in get(site, f"codes/?{query}")["results"]] == expected


@pytest.mark.parametrize(
    ("address", "parameter"),
    [
        ("codes/?colour=red", "colour"),
        ("codes/?registry=smtp", "registry"),
        ("codes/?class=9", "class"),
        ("codes/?owner=nobody", "owner"),
        ("codes/?vendor=nobody", "vendor"),
        ("codes/?source=nobody", "source"),
        ("codes/?standing=sitting", "standing"),
        ("codes/?retry=often", "retry"),
        ("codes/?disagrees=perhaps", "disagrees"),
        ("codes/?code=4.5", "code"),
        ("codes/?code=99999999999999999999", "code"),
        ("codes/?code__in=404,x", "code__in"),
        ("codes/?q=%00", "q"),
        ("codes/?ordering=colour", "ordering"),
        ("codes/?limit=0", "limit"),
        ("codes/?limit=1001", "limit"),
        ("codes/?limit=ten", "limit"),
        ("codes/?offset=-1", "offset"),
        ("codes/?offset=99999999999999999999", "offset"),
        ("codes/?fields=code,colour", "fields"),
        ("codes/?format=xml", "format"),
        ("codes/http/404/?limit=1", "limit"),
        ("codes/http/404/?fields=colour", "fields"),
        ("sources/?kind=registry", "kind"),
        ("disagreements/?severity=grave", "severity"),
        ("disagreements/?aspect=colour", "aspect"),
        ("codes/lookup/", "http"),
        ("codes/lookup/?http=12", "http"),
        ("codes/lookup/?http=404&strom=110", "strom"),
        ("codes/compare/", "codes"),
        ("codes/compare/?codes=404,12", "codes"),
        ("codes/compare/?codes=404&registry=smtp", "registry"),
        ("codes/export.json?digest=1", "digest"),
    ],
)
def test_what_a_caller_misspells_is_400_with_its_name(site: Client, address: str, parameter: str) -> None:
    answer = site.get(f"{API}/{address}")
    assert answer.status_code == 400, answer.content[:300]
    assert answer["Content-Type"] == "application/problem+json"
    assert parameter in [error["parameter"] for error in answer.json()["errors"]]
    assert parameter in answer.json()["detail"]


def test_pages_of_a_list_and_their_link_header(site: Client) -> None:
    answer = site.get(f"{API}/codes/?limit=3&offset=3&registry=http")
    page = answer.json()
    assert [item["code"] for item in page["results"]] == [103, 104, 200]
    assert 'rel="next"' in answer["Link"]
    assert 'rel="prev"' in answer["Link"]
    assert page["next"] in answer["Link"]
    assert [item["code"] for item in site.get(page["next"]).json()["results"]] == [201, 202, 203]
    assert get(site, "codes/?offset=5000")["results"] == []


def test_links_are_absolute_where_the_public_address_is_known(
    site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = settings.ENVIRONMENT
    monkeypatch.setattr(
        settings, "ENVIRONMENT", type(environment)(**{**vars(environment), "public_url": "https://p.example"})
    )
    page = get(site, "codes/?limit=1")
    assert page["results"][0]["url"] == "https://p.example/codes/http/100/"
    assert page["next"] == "https://p.example/api/v1/codes/?limit=1&offset=1"
    assert get(site, "codes/http/12/", 404)["type"] == "https://p.example/codes/http/404/"


def test_fields_choose_the_keys(site: Client) -> None:
    assert get(site, "codes/?fields=code,name&code=404")["results"] == [{"code": 404, "name": "Not Found"}]
    assert get(site, "codes/compare/?codes=301,302&fields=count") == {"count": 2}
    assert get(site, "codes/lookup/?http=406&stroom=110&fields=consistent") == {"consistent": True}
    assert get(site, "codes/compare/?codes=301&fields=results")["results"][0]["name"] == "Moved Permanently"
    assert get(site, "codes/http/404/?fields=class,known") == {
        "known": True,
        "class": {"key": "4xx", "name": "Client Error"},
    }


def test_a_list_as_csv(site: Client) -> None:
    answer = site.get(f"{API}/codes/?format=csv&vendor=esri")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["code"], row["owners"], row["class"]) for row in rows] == [
        ("498", "esri", "4xx"),
        ("499", "nginx esri", "4xx"),
    ]


@pytest.mark.parametrize(
    "address", ["codes/", "codes/http/404/", "sources/", "registries/", "codes/export.json", "codes/retry.json"]
)
def test_reads_are_conditional_and_open_to_scripts_of_other_sites(site: Client, address: str) -> None:
    first = site.get(f"{API}/{address}")
    assert first["Access-Control-Allow-Origin"] == "*"
    again = site.get(f"{API}/{address}", headers={"if-none-match": first["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again["ETag"] == first["ETag"]
    assert "Set-Cookie" not in first


def test_sources_and_what_each_says(site: Client, authored: Catalogue) -> None:
    sources = get(site, "sources/")["results"]
    assert {source["slug"] for source in sources} >= {
        "stroom-response-codes",
        "http-status-workshop",
        "vendor-status-codes",
        "kafka-status-codes",
        "api-response-codes",
        "iana",
        "rfc9110",
        "stroom-source",
    }
    assert [source["rank"] for source in sources] == sorted(source["rank"] for source in sources)
    one = get(site, "sources/api-response-codes/")
    assert one["entry_count"] == len(one["entries"]) == 54
    entry = next(entry for entry in one["entries"] if entry["code"] == 428)
    assert entry["name"] == "Precindition Required"
    get(site, "sources/nobody/", 404)


def test_registries_and_classes(site: Client) -> None:
    http, stroom = get(site, "registries/")["results"]
    assert (http["slug"], http["min"], http["max"]) == ("http", 100, 599)
    assert [item["key"] for item in http["classes"]] == ["1xx", "2xx", "3xx", "4xx", "5xx", "invalid"]
    assert stroom["code_count"] == 26
    one = get(site, "classes/http/4xx/")
    assert (one["key"], one["fallback"]) == ("4xx", 400)
    assert one["codes"][0]["code"] == 400
    get(site, "classes/http/9xx/", 404)


def test_disagreements(site: Client) -> None:
    page = get(site, "disagreements/?code=503&registry=http&aspect=retry")
    (item,) = page["results"]
    assert (item["registry"], item["code"], item["class"], item["severity"]) == ("http", 503, None, "high")
    rules = [item for item in get(site, "disagreements/")["results"] if item["code"] is None]
    assert {rule["class"] for rule in rules} >= {"any", "4xx"}
    named = get(site, "disagreements/?source=stroom-response-codes")["results"]
    assert named
    assert all("stroom-response-codes" in {p["source"] for p in item["positions"]} for item in named)


def test_vendors_and_headers(site: Client) -> None:
    nginx = get(site, "vendors/nginx/")
    assert {use["code"] for use in nginx["codes"]} == {444, 494, 495, 496, 497, 499}
    assert len(get(site, "vendors/")["results"]) == get(site, "vendors/")["count"]
    header = get(site, "headers/Retry-After/")
    assert header["name"] == "Retry-After"
    assert {"http", "stroom"} == {use["registry"] for use in header["codes"]}
    get(site, "headers/no-such-field/", 404)


@pytest.mark.parametrize(
    ("query", "consistent", "generation"),
    [
        ("http=403&stroom=310", True, "documented"),
        ("http=401&stroom=310", True, "current"),
        ("http=406&stroom=110", True, "documented+current"),
        ("http=406&stroom=111", True, "current"),
        ("http=503&stroom=999", True, "portal"),
        ("http=200&stroom=310", False, None),
        ("http=404&stroom=0", False, None),
        ("http=406&stroom=555", False, None),
        ("http=404", None, None),
        ("stroom=110", None, None),
    ],
)
def test_pairs(site: Client, query: str, consistent: bool | None, generation: str | None) -> None:
    pair = get(site, f"codes/lookup/?{query}")
    assert (pair["consistent"], pair["generation"]) == (consistent, generation)
    assert pair["explanation"]
    for name, value in (part.split("=") for part in query.split("&")):
        assert pair[name]["code"] == int(value)


def test_codes_side_by_side_come_in_the_order_asked_for(site: Client) -> None:
    page = get(site, "codes/compare/?codes=308,301,471")
    assert [code["code"] for code in page["results"]] == [308, 301, 471]
    assert all(len(row["values"]) == 3 for row in page["rows"])
    assert [c["name"] for c in get(site, "codes/compare/?codes=300,310&registry=stroom")["results"]] == [
        "Client Certificate Required",
        "Client Certificate not authorised",
    ]


def test_the_whole_catalogue_in_one_file(site: Client, authored: Catalogue) -> None:
    export = get(site, "codes/export.json")
    assert len(export["codes"]) == len(authored.codes)
    assert sum(len(code["meanings"]) for code in export["codes"]) == len(authored.meanings)
    answer = site.get(f"{API}/codes/export.json")
    assert answer["ETag"] == f'"{export["digest"]}"'
    rows = list(csv.DictReader(io.StringIO(site.get(f"{API}/codes/export.csv").content.decode())))
    assert len(rows) == len(authored.meanings)


def test_retry_advice_for_programs(site: Client, authored: Catalogue) -> None:
    advice = get(site, "codes/retry.json")
    assert advice["http"]["503"] == "after_wait"
    assert len(advice["http"]) + len(advice["stroom"]) == len(authored.codes)
    assert advice["details"]["http"]["451"].keys() == {"ietf", "microsoft"}
    assert advice["details"]["http"]["503"]["ietf"]["honours_retry_after"] is True


def test_local_notes_are_part_of_the_answer(site: Client) -> None:
    LocalNote.objects.create(meaning=Meaning.objects.get(pk="http/503/ietf"), text="Call 4711.")
    (note,) = get(site, "codes/http/503/")["local_notes"]
    assert (note["owner"], note["text"]) == ("ietf", "Call 4711.")


def test_writing_is_refused_as_a_problem(site: Client) -> None:
    answer: HttpResponse = site.post(f"{API}/codes/", "{}", content_type="application/json")  # type: ignore[assignment]
    assert answer.status_code == 405
    assert json.loads(answer.content)["type"] == "/codes/http/405/"
    assert "GET" in answer["Allow"]


# The version of the catalogue and its notes; where a filter is set, the keys of the rows too.
QUERIES = [
    ("codes/", 1),
    ("codes/?owner=nginx&limit=1", 2),
    ("codes/?q=too+large", 2),
    ("codes/?ordering=-code&limit=5", 2),
    ("codes/http/404/", 1),
    ("codes/http/499/", 1),
    ("codes/http/471/", 1),
    ("codes/http/451/microsoft/", 1),
    ("sources/", 1),
    ("sources/iana/", 1),
    ("registries/", 1),
    ("classes/http/4xx/", 1),
    ("disagreements/", 1),
    ("disagreements/?severity=high&source=iana", 2),
    ("vendors/", 1),
    ("vendors/nginx/", 1),
    ("headers/", 1),
    ("headers/retry-after/", 1),
    ("codes/compare/?codes=301,302,307,308,404,503", 1),
    ("codes/lookup/?http=403&stroom=310", 1),
]


@pytest.mark.parametrize(("address", "count"), QUERIES)
def test_the_number_of_queries_is_fixed(
    site: Client, django_assert_num_queries: Any, address: str, count: int
) -> None:
    get(site, address)  # the first request after a load reads the catalogue into memory
    with django_assert_num_queries(count):
        get(site, address)


def test_the_description_of_the_api_has_no_warnings_about_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    reset_generator_stats()
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    GENERATOR_STATS.emit_summary()
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if "codes/" in line] == []
    described = {path for path in schema["paths"] if path.startswith(f"{API}/codes/")}
    assert {f"{API}/codes/", f"{API}/codes/{{registry}}/{{code}}/", f"{API}/codes/retry.json"} <= described
    listed = schema["components"]["schemas"]["ListedCode"]["properties"]
    assert list(listed) == ["registry", "code", "name", "owners", "class", "standing", "retry", "url"]
