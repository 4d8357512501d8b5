"""Odd bodies, queries and headers are answered with a problem that says what is odd, never with our own error."""

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from feeds.models import Feed
from portal.rest import parsing
from portal.rest.pagination import MAX_KEY, Place, decode_place
from portal.rest.parsing import parse_json
from tests.calls import EDITOR, anonymous, caller, problem_of, superuser
from tests.factories import make_feed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_are_refused(data: bytes) -> None:
    try:
        parse_json(data)
    except ParseError as fault:
        said = str(fault.detail)
    else:
        said = "JSON: fine"
    assert said.startswith("JSON: ")


@given(JSON)
def test_any_json_is_read_as_it_was_written(value: object) -> None:
    try:
        written = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert parse_json(written) == value


@given(st.text(max_size=80))
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    place = decode_place(text)
    assert place is None or 0 <= place.key <= MAX_KEY


@given(st.lists(JSON, min_size=3, max_size=3))
def test_any_json_is_a_cursor_or_none(words: list[object]) -> None:
    text = base64.urlsafe_b64encode(json.dumps(words).encode()).decode().rstrip("=")
    place = decode_place(text)
    assert place is None or 0 <= place.key <= MAX_KEY


@given(st.booleans(), st.sampled_from(["received_at", "-received_at"]), st.integers(0, MAX_KEY))
def test_a_cursor_is_read_as_it_was_made(back: bool, ordering: str, key: int) -> None:
    place = Place(back, ordering, key)
    assert decode_place(place.encode()) == place


@pytest.mark.django_db
def test_a_body_that_is_too_long_is_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_BODY_BYTES", 100)
    problem_of(caller(*EDITOR).post("/api/v1/feeds/", {"name": "FEED-A", "description": "x" * 100}), 413)
    assert not Feed.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"a{number}=1" for number in range(2000)),
        "a=%FF%FE",
        "%00=1",
        "q=" + "x" * 10_000,
        "=1",
        "&&&=",
        "%",
    ],
)
def test_odd_queries_are_400(query: str) -> None:
    problem_of(superuser().get(f"/api/v1/feeds/?{query}"), 400)


@pytest.mark.django_db
def test_the_least_query_is_no_query() -> None:
    assert superuser().get("/api/v1/feeds/?").status_code == 200
    assert superuser().get("/api/v1/feeds/?&&").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("tags", ['"', "*", 'W/"x"', '"a", "b"', "x", ",", '"' + "x" * 5000 + '"'])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_odd_tags_are_compared_and_never_fail(header: str, tags: str) -> None:
    make_feed("FEED-A")
    editor = caller(*EDITOR)
    path = "/api/v1/feeds/FEED-A/"
    read = editor.call("GET", path, headers={header: tags})
    assert read.status_code in {200, 304, 412}
    if read.status_code == 412:
        problem_of(read, 412)
    assert editor.call("PATCH", path, "{}", {header: tags}).status_code in {200, 412}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "accept", ["", "x", "*/*;q=0", "text/html", "application/json;q=0.1, text/csv", "a/b" * 500]
)
def test_odd_accept_headers_are_served_or_406(accept: str) -> None:
    response = anonymous().get("/api/v1/registries/", Accept=accept)
    if response.status_code != 200:
        problem_of(response, 406)


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_empty_body_is_refused_and_changes_nothing(method: str) -> None:
    make_feed("FEED-A", owner="Web team")
    problem_of(caller(*EDITOR).call(method, "/api/v1/feeds/FEED-A/", ""), 400)
    assert Feed.objects.get().owner == "Web team"


@pytest.mark.django_db
def test_every_write_wants_a_body() -> None:
    who = superuser()
    for method, path in [
        ("POST", "/api/v1/feeds/"),
        ("PATCH", "/api/v1/feeds/"),
        ("POST", "/api/v1/feeds/import/"),
        ("POST", "/api/v1/receipt/check/"),
        ("POST", "/api/v1/auth/token/"),
    ]:
        assert "empty" in problem_of(who.call(method, path, ""), 400)["detail"], path


@pytest.mark.django_db
def test_a_packed_body_is_415_and_says_why() -> None:
    packed = gzip.compress(b'{"owner": "x"}')
    answer = caller(*EDITOR).call("PUT", "/api/v1/feeds/FEED-A/", packed, {"Content-Encoding": "gzip"})
    assert "Content-Encoding" in problem_of(answer, 415)["detail"]
    plain = caller(*EDITOR).call("PUT", "/api/v1/feeds/FEED-A/", "{}", {"Content-Encoding": "identity"})
    assert plain.status_code == 201


@pytest.mark.django_db
def test_the_reason_of_a_deletion_may_stand_in_the_query_or_in_the_body() -> None:
    editor = caller(*EDITOR)
    for send in (
        lambda path: editor.delete(f"{path}?comment=ticket+1"),
        lambda path: editor.call("DELETE", path, {"comment": "ticket 1"}),
    ):
        make_feed("FEED-A")
        assert send("/api/v1/feeds/FEED-A/").status_code == 204  # type: ignore[no-untyped-call]
        latest = editor.get("/api/v1/feeds/FEED-A/history/").json()["results"][0]
        assert (latest["action"], latest["comment"]) == ("deleted", "ticket 1")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [{"reason": "x"}, {"comment": "x", "force": True}, {"comment": 5}, ["comment"], "{", {"comment": "x" * 2000}],
)
def test_any_other_body_of_a_deletion_is_refused(body: object) -> None:
    make_feed("FEED-A")
    problem_of(caller(*EDITOR).call("DELETE", "/api/v1/feeds/FEED-A/", body), 400)
    problem_of(caller(*EDITOR).call("DELETE", "/api/v1/feeds/FEED-A/?comment=a", {"comment": "b"}), 400)
    assert Feed.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["codes/?limit=1&limit=2", "codes/?format=json&format=csv", "feeds/?limit=1&limit=1"]
)
def test_a_parameter_that_stands_twice_is_named(path: str) -> None:
    body = problem_of(superuser().get(f"/api/v1/{path}"), 400)
    assert "twice" in body["errors"][0]["detail"]
