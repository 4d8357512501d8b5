"""A pasted text explained: over REST, on the page and on the command line, the same findings and advice."""

import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from codes.explain.answers import MAX_ANSWERS, NOT_LOADED, NOTHING_FOUND, TooLong, explain
from codes.explain.recognise import MAX_LENGTH
from codes.models import CodeClass, LocalNote, Meaning, Registry, Release, SourceEntry, StatusCode

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]

API, PAGE = "/api/v1/codes/explain/", "/codes/explain/"
REFUSAL = """HTTP/1.1 406 Not Acceptable\r
stroom-status: 110\r
stroom-error: Stroom Status 110 - Feed is not set to receive data [Feed: ODD]\r
\r
Stroom Status 110 - Feed is not set to receive data [Feed: ODD]
"""


def ask(text: str, **headers: str) -> dict[str, Any]:
    response = Client().post(API, json.dumps({"text": text}), "application/json", headers=headers)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def test_says_what_was_recognised_where_and_what_to_do() -> None:
    answer = ask(REFUSAL)
    assert [(p["http"], p["stroom"], p["consistent"], p["generation"]) for p in answer["pairs"]] == [
        (406, 110, True, "documented+current")
    ]
    assert [(c["registry"], c["code"], c["name"]) for c in answer["codes"]] == [
        ("stroom", 110, "Feed is not set to receive data"),
        ("http", 406, "Not Acceptable"),
    ]
    for found in answer["recognised"]:
        assert REFUSAL[found["start"] : found["end"]] == found["passage"]
    assert [found["line"] for found in answer["recognised"]] == [1, 2, 3, 5]
    assert answer["pairs"][0]["recognised"] == [0, 1, 2, 3]
    (advice,) = answer["advice"]
    meaning = Meaning.objects.get(pk="stroom/110/stroom")
    assert advice["registry"], advice["code"] == ("stroom", 110)
    assert {key: advice[key] for key in meaning.what_to_do} == meaning.what_to_do
    assert advice["retry"]["verdict"] == meaning.retry_verdict


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("we get 406/110", (406, 110)),
        ("Since Monday the proxy answers with 503/999 again.", (503, 999)),
        ("our uploads fail with 403 and Stroom-Status 310", (403, 310)),
        ("Got a 503", (503, None)),
    ],
)
def test_a_sentence_is_explained_as_its_numbers_are(text: str, pair: tuple[int, int | None]) -> None:
    (found,) = ask(text)["pairs"]
    assert (found["http"], found["stroom"]) == pair
    assert found["consistent"] is (True if pair[1] else None)


@pytest.mark.parametrize(
    ("http", "stroom", "consistent", "generation"),
    [
        (200, 0, True, "documented+current"),
        (403, 310, True, "documented"),
        (401, 310, True, "current"),
        (413, 410, True, "current"),
        (503, 999, True, "portal"),
        (405, 999, True, "portal"),
        (411, 999, True, "portal"),
        (431, 999, True, "portal"),
        (501, 999, True, "portal"),
        (400, 999, True, "portal"),
        (500, 999, True, "documented+current"),
        (200, 110, False, None),
        (406, 0, False, None),
        (502, 310, False, None),
        (406, 555, False, None),
    ],
)
def test_says_whether_the_two_numbers_fit(http: int, stroom: int, consistent: bool, generation: str | None) -> None:
    (pair,) = ask(f"< HTTP/1.1 {http} X\n< Stroom-Status: {stroom}\n")["pairs"]
    assert (pair["http"], pair["stroom"]) == (http, stroom)
    assert (pair["consistent"], pair["generation"]) == (consistent, generation)
    assert pair["explanation"]


@pytest.mark.parametrize(
    ("text", "acts_on", "words"),
    [
        ("HTTP/1.1 471 Odd", 400, "not in the catalogue"),
        ("HTTP/1.1 799 Odd", 500, "no valid status"),
        ("HTTP/1.1 299 Odd", 200, "by the rule of its class"),
        ("HTTP/1.1 471 Odd\nStroom-Status: 555", 400, "in no version of Stroom"),
    ],
)
def test_an_unknown_number_is_explained_by_the_rule_of_its_class(text: str, acts_on: int, words: str) -> None:
    answer = ask(text)
    assert words in answer["pairs"][0]["explanation"]
    assert {advice["code"] for advice in answer["advice"]} == {acts_on}
    assert not any(code["known"] for code in answer["codes"])


def test_a_log_line_with_499_is_about_nginx_alone() -> None:
    advice = ask('1.2.3.4 - - [24/Feb/2026:18:10:27 +0000] "GET / HTTP/1.1" 499 0')["advice"]
    assert [item["owner"] for item in advice] == ["nginx"]


def test_an_unknown_stroom_status_alone_gives_no_advice_of_its_own() -> None:
    answer = ask("Stroom-Status: 555")
    assert answer["advice"] == []
    assert "act on the HTTP status" in answer["pairs"][0]["explanation"]


@pytest.mark.parametrize("number", [100, 200, 300, 400])
def test_a_bare_number_that_stroom_has_too_says_so(number: int) -> None:
    answer = ask(str(number))
    assert [(code["registry"], code["code"]) for code in answer["codes"]] == [("http", number)]
    assert f"Stroom {number}" in answer["pairs"][0]["explanation"]


@pytest.mark.parametrize("text", ["", "  \n ", "We sold 404 tickets.", "\0\1\2", "12345"])
def test_says_plainly_that_nothing_was_found(text: str) -> None:
    answer = ask(text)
    assert answer["message"] == NOTHING_FOUND
    assert [answer[key] for key in ("recognised", "pairs", "codes", "advice")] == [[], [], [], []]


def test_offsets_count_characters_whatever_stands_before() -> None:
    text = "Grüße aus Köln 👋\nÄ HTTP 404 — schade"
    (found,) = ask(text)["recognised"]
    assert text[found["start"] : found["end"]] == "HTTP 404"


def test_a_text_of_the_limit_is_read_and_one_more_byte_is_413() -> None:
    text = "HTTP 404 " + "ä" * ((MAX_LENGTH - 9) // 2)
    text += "x" * (MAX_LENGTH - len(text.encode()))
    assert ask(text)["recognised"]
    response = Client().post(API, json.dumps({"text": text + "x"}), "application/json")
    assert (response.status_code, response["Content-Type"]) == (413, "application/problem+json")
    assert response.json()["type"] == "/codes/http/413/"
    with pytest.raises(TooLong):
        explain(text + "x")


@pytest.mark.parametrize(
    ("body", "kind", "status", "word"),
    [
        (b"{}", "application/json", 400, "text"),
        (b'{"text": null}', "application/json", 400, "text"),
        (b'{"text": ["a"]}', "application/json", 400, "text"),
        (b'{"text": "a", "keep": true}', "application/json", 400, "keep"),
        (b"[]", "application/json", 400, ""),
        (b'"HTTP 404"', "application/json", 400, ""),
        (b"{", "application/json", 400, "JSON"),
        (b'{"text": "\\ud800"}', "application/json", 400, "JSON"),
        (b"\xff", "text/plain", 400, "UTF-8"),
        (b"x" * (MAX_LENGTH + 1), "text/plain", 413, "bytes"),
        (b"text=HTTP+404", "application/x-www-form-urlencoded", 415, ""),
    ],
)
def test_a_question_that_cannot_be_read_is_a_problem_naming_it(
    body: bytes, kind: str, status: int, word: str
) -> None:
    response = Client().post(API, body, kind)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert word in response.content.decode()


def test_an_unknown_query_parameter_is_400_and_get_is_405() -> None:
    assert Client().post(f"{API}?txt=1", "{}", "application/json").status_code == 400
    assert Client().get(API).status_code == 405


def test_plain_text_in_and_out_for_a_terminal() -> None:
    response = Client().post(API, REFUSAL.encode(), "text/plain", headers={"Accept": "text/plain"})
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    text = response.content.decode()
    assert "HTTP 406 with Stroom 110  Feed is not set to receive data" in text
    assert max(len(line) for line in text.splitlines()) <= 78


def test_needs_no_login_leaves_no_cookie_and_may_not_be_stored() -> None:
    for response in (
        Client().post(API, json.dumps({"text": REFUSAL}), "application/json"),
        Client(enforce_csrf_checks=True).post(PAGE, {"text": REFUSAL}),
    ):
        assert response.status_code == 200
        assert not response.cookies
        assert "no-store" in response["Cache-Control"]


def test_the_number_of_queries_does_not_grow_with_the_text(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    explain("HTTP 404")  # the vocabulary is made once for each release
    text = "\n".join(f"HTTP/1.1 {code} X\nStroom-Status: {code - 200}" for code in range(300, 420))
    with django_assert_max_num_queries(30):  # two look-ups with their prefetches, the fallbacks, and the digest
        explanation = explain(text)
    assert len(explanation.answers) == MAX_ANSWERS
    assert explanation.left_out == 120 - MAX_ANSWERS
    assert "explained" in explanation.message


def test_a_note_of_the_site_is_part_of_the_advice_in_the_terminal() -> None:
    LocalNote.objects.create(meaning_id="stroom/110/stroom", text="Ask *team blue*.")
    output = io.StringIO()
    call_command("explain", "406/110", stdout=output)
    assert "Ask *team blue*." in output.getvalue()


# --- the page ---


class _Reader(HTMLParser):
    """Collects what the <pre> shows, and its marks with their links."""

    def __init__(self) -> None:
        super().__init__()
        self.shown, self.marks, self.links = "", [], []  # type: ignore[var-annotated]
        self._in_pre = self._in_mark = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_pre = self._in_pre or tag == "pre"
        self._in_mark = self._in_mark or tag == "mark"
        if self._in_pre and tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_endtag(self, tag: str) -> None:
        self._in_pre = self._in_pre and tag != "pre"
        self._in_mark = self._in_mark and tag != "mark"

    def handle_data(self, data: str) -> None:
        if self._in_pre:
            self.shown += data
        if self._in_mark:
            self.marks.append(data)


def test_the_page_repeats_the_text_with_marks_in_place_and_a_card_for_each_answer() -> None:
    html = Client().post(PAGE, {"text": REFUSAL + "\n<b>curl: (22) error: 404</b>"}).content.decode()
    reader = _Reader()
    reader.feed(html)
    assert reader.shown.removeprefix("\n") == REFUSAL + "\n<b>curl: (22) error: 404</b>"
    assert reader.marks[0] == "HTTP/1.1 406 Not Acceptable"
    assert reader.links == ["#answer-1"] * 4 + ["#answer-2"]
    assert [int(number) for number in re.findall(r'id="answer-(\d+)"', html)] == [1, 2]
    assert "Consistent." in html


def test_the_page_without_a_text_is_a_paste_box() -> None:
    html = Client().get(PAGE).content.decode()
    assert '<textarea id="text" name="text"' in html
    assert "<mark>" not in html


def test_the_page_says_plainly_that_nothing_was_found() -> None:
    html = Client().post(PAGE, {"text": "We sold 404 tickets."}).content.decode()
    assert "Nothing was recognised." in html
    assert "<article" not in html


def test_the_page_refuses_a_text_that_is_too_long() -> None:
    for size in (MAX_LENGTH + 1, 4 * 1024 * 1024):
        response = Client().post(PAGE, {"text": "x" * size})
        assert response.status_code == 413
        assert b"longer than" in response.content
        assert len(response.content) < 20_000


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</pre></textarea><script>1</script>",
        "{{ 7|add:7 }}{% now 'Y' %}",
        "&lt;script&gt;",
        "'\"`<!--",
        "]]><svg/onload=1>",
    ],
)
def test_s10_hostile_text_is_shown_as_text(hostile: str) -> None:
    text = f"HTTP/1.1 404 {hostile}\nStroom Status 110 - Feed {hostile} x [Feed: {hostile}]\n{hostile}"
    html = Client().post(PAGE, {"text": text}).content.decode()
    reader = _Reader()
    reader.feed(html)
    assert reader.shown.removeprefix("\n") == text
    for tag in ("<script", "<img", "<svg"):
        assert tag not in html.split("<pre", 1)[1].split("</pre>", 1)[0]


# --- the command line ---


def test_the_command_explains_arguments_and_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    call_command("explain", "403/310", stdout=output)
    assert output.getvalue().startswith("HTTP 403 with Stroom 310  Client Certificate not authorised")
    stdin = io.TextIOWrapper(io.BytesIO(REFUSAL.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    output = io.StringIO()
    call_command("explain", "-", stdout=output)
    assert "line 1, status line: HTTP/1.1 406 Not Acceptable" in output.getvalue()


def test_the_command_joins_words_and_fails_when_nothing_is_recognised() -> None:
    output = io.StringIO()
    call_command("explain", "stroom", "310", stdout=output)
    assert output.getvalue().startswith("Stroom 310")
    with pytest.raises(SystemExit) as ended:
        call_command("explain", "nothing at all", stdout=output)
    assert ended.value.code == 1


def test_the_command_shows_no_control_characters_of_the_text() -> None:
    output = io.StringIO()
    call_command("explain", "HTTP/1.1 404 \x1b[31mRed\x07", stdout=output)
    assert "\x1b" not in output.getvalue()
    assert "\x07" not in output.getvalue()


def test_the_command_refuses_a_text_that_is_too_long() -> None:
    with pytest.raises(CommandError, match="longer than"):
        call_command("explain", "x" * (MAX_LENGTH + 1))


def test_a_pair_of_an_older_release_is_consistent(site: Client) -> None:
    answer = site.get("/api/v1/codes/lookup/", {"http": "403", "stroom": "311"}).json()
    assert (answer["consistent"], answer["generation"]) == (True, "older")
    assert "an older release of Stroom" in answer["explanation"]


NGINX_PAGE = """HTTP/1.1 400 Bad Request
Server: nginx/1.24.0

<head><title>400 No required SSL certificate was sent</title></head>
<center><h1>400 Bad Request</h1></center>
<center>No required SSL certificate was sent</center>
"""


def test_the_words_of_the_page_decide_and_the_number_that_was_sent_is_kept() -> None:
    answer = ask(NGINX_PAGE)
    assert [(pair["http"], pair["stroom"]) for pair in answer["pairs"]] == [(496, None)]
    assert [code["code"] for code in answer["codes"]] == [496, 400]
    assert [item["code"] for item in answer["advice"]] == [496]
    assert "nginx sends HTTP 400" in answer["pairs"][0]["explanation"]


@pytest.mark.parametrize(
    ("text", "owner", "name"),
    [
        ("HTTP/1.1 451 Redirect\nX-MS-Location: https://x/", "microsoft", "Redirect"),
        ("HTTP/1.1 451 Unavailable For Legal Reasons", "ietf", "Unavailable For Legal Reasons"),
        ("HTTP/1.1 308 Resume Incomplete\nRange: bytes=0-42", "google", "Resume Incomplete"),
        ('{"error":{"code":499,"message":"Token Required","details":[]}}', "esri", "Token Required"),
    ],
)
def test_the_owner_that_the_text_names_is_the_one_heard(text: str, owner: str, name: str) -> None:
    answer = ask(text)
    assert [item["owner"] for item in answer["advice"]] == [owner]
    assert [code["name"] for code in answer["codes"]] == [name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("curl: (6) Could not resolve host: x", "Check the host name"),
        ("java.net.ConnectException: Connection refused", "nothing listens on that port"),
        ("x509: certificate signed by unknown authority", "TLS connection failed"),
        ("TypeError: Failed to fetch", "CORS"),
    ],
)
def test_s36_a_fault_of_the_network_says_what_to_check_and_keeps_the_data(text: str, said: str) -> None:
    (advice,) = ask(text)["advice"]
    assert advice["sender"].startswith("Keep the data and send it again")
    assert said in advice["sender"]


def test_a_fault_of_the_network_is_not_looked_for_at_a_server_that_answered() -> None:
    (advice,) = ask("curl: (7) Failed to connect to x.example port 443")["advice"]
    assert "can be reached from the sender" in advice["administrator"]
    html = Client().post("/codes/explain/", {"text": "curl: (7) Failed to connect"}).content.decode()
    assert "No server answered, so there is no HTTP status" in html
    assert "in place of a status" not in html
    assert '<p class="facts"></p>' not in html


def test_a_size_is_not_offered_as_a_status() -> None:
    assert explain("the file is 503 MB long").hints == []
    assert "HTTP 503" in explain("the thing says 503 there").hints[0]


def test_a_text_without_a_code_stays_in_the_box() -> None:
    html = Client().post(PAGE, {"text": "We sold <404> tickets"}).content.decode()
    assert "We sold &lt;404&gt; tickets</textarea>" in html
    assert "ask for HTTP 404" in html
    assert "no HTTP status" in Client().post(PAGE, {"text": "SIP/2.0 503 Service Unavailable"}).content.decode()


def test_without_a_catalogue_it_says_what_to_load() -> None:
    for table in (Meaning, SourceEntry, StatusCode, CodeClass, Registry, Release):
        table.objects.all().delete()
    assert explain("HTTP 404").message == NOT_LOADED
    assert explain("HTTP 406 and Stroom-Status: 110").answers == ()
