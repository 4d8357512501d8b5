"""S36: no page, answer or command says "delete" for anything but HTTP 200 with Stroom-Status 0."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from codes.explain.pairs import PORTAL_PAIRS, PROXY_PAIRS, judge
from codes.lookup import RULE, find_codes
from codes.models import Meaning, StatusCode

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]

NGINX_FILE = Path(__file__).parents[3] / "deploy" / "nginx" / "portal.conf"
NO_ANSWER = "No HTTP answer came; nothing is confirmed; keep the data."
# Words that let a sender drop its copy. "DELETE" is a method, and is written in capitals.
DROPS = re.compile(r"\b(?:[Dd]elet(?:e|es|ed|ing)|discard|drop your|throw away|remove (?:it|the data|your))\b")
COLOURED = "\x1b[0;31mERROR\x1b[0m Unable to send file \x1b[0;34m/x\x1b[0m, response code was: \x1b[0;31m%s\x1b[0m"
PLAIN = "2026-11-30T09:00:00.000Z ERROR Unable to send file /data/x.log, response code was: %s, error was :"

#: What says that no server answered, each as programs print it.
UNANSWERED = (
    "000",
    "HTTP 000",
    "HTTP 000/0",
    "000/0",
    "000/110",
    "00/0",
    "0/0",
    "-1/0",
    "-1",
    "0404",
    "099/0",
    "99/0",
    "1000/0",
    "http_code 000",
    "http_code=000",
    "rc=7 http_code=000",
    "RESPONSE_CODE=000",
    "status 0",
    "status: 0",
    "HTTP status 0",
    "http code: 0",
    "response code: -1",
    "HTTP 000 with Stroom-Status 0",
    "Request failed with status code 0",
    '{"status":0,"statusText":""}',
    '{"http_code": 0, "url": "https://stroom.example/stroom/datafeed"}',
    "Http failure response for https://stroom.example/datafeed: 0 Unknown Error",
    "SEND,https://s/datafeed,000,0,abc,12,34",
    '1.2.3.4 - - [24/Feb/2026:18:10:27 +0000] "POST /datafeed HTTP/1.1" 000 0 "-" "curl"',
    PLAIN % "000",
    (PLAIN % "000") + "\ncurl: (7) Failed to connect to stroom.example port 443 after 1 ms: Could not connect",
    COLOURED % "000",
    (COLOURED % "000") + ", error was :\ncurl: (28) Operation timed out after 30001 milliseconds",
    "ERROR \\033[0;31m000\\033[0m http_code: \\033[0;31m000\\033[0m",
    "the script returned 000",
    "resp.status = 0",
    '[2026-11-30T09:00:00.000Z] "POST /datafeed HTTP/1.1" 0 DC 12 0',
    "curl: (52) Empty reply from server",
    "curl: (56) Recv failure: Connection reset by peer\nRESPONSE_CODE=000",
)
#: Answers of which one half, or all, looks like a success.
DOUBTFUL = (
    "HTTP/1.1 502 Bad Gateway\nStroom-Status: 0",
    "500/0",
    "502/0",
    "202/0",
    "204/0",
    "301/0",
    "302/0",
    "304/0",
    "410/0",
    "471/0",
    "799/0",
    "HTTP/1.1 302 Found\nLocation: /login\nStroom-Status: 0\n",
    "HTTP/1.1 201 Created\nStroom-Status: 0\n",
    "200/110",
    "200/999",
    "202/110",
    "200/555",
    "> POST /datafeed HTTP/1.1\n< HTTP/1.1 200 OK\n< Content-Type: text/html\n<html>Login",
    "> POST /stroom/datafeed HTTP/1.1\n< HTTP/1.1 204 No Content\n",
    "> Feed: A-B\n< HTTP/1.1 299 Odd\n",
    "200/000",
    "HTTP/1.1 200 OK\nStroom-Status: 000\n",
    "Stroom-Status: 0",
    "stroom 0",
    "HTTP/1.1 200 OK\nStroom-Status: 0\nStroom-Status: 110\n",
    "HTTP/1.1 200 OK\nStroom-Status: 0, 110\n",
    "uploads fail with 202/0",
    "we get 502/0",
    "we got a 502 with Stroom-Status 0",
    '{"stroom_status": 0}',
)
TUNNEL = "< HTTP/1.1 200 Connection established\n<\n* CONNECT phase completed\n"
TUNNELS = (
    "HTTP/1.1 200 Connection established",
    "HTTP/1.0 200 Connection Established\r\n\r\n",
    TUNNEL,
    "> CONNECT stroom.example:443 HTTP/1.1\n> Host: stroom.example:443\n>\n< HTTP/1.1 200 OK\n<\n",
    "* CONNECT tunnel established, response 200",
    "200 Connection established",
    '1.2.3.4 - - [24/Feb/2026:18:10:27 +0000] "CONNECT stroom.example:443 HTTP/1.1" 200 39',
)


def ask(text: str) -> dict[str, Any]:
    response = Client().post("/api/v1/codes/explain/", json.dumps({"text": text}), "application/json")
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def command(text: str) -> str:
    output = io.StringIO()
    with contextlib.suppress(SystemExit):  # where nothing was recognised
        call_command("explain", "--", text, stdout=output)
    return " ".join(output.getvalue().split())


def shown(html: str) -> str:
    """What a page shows, without the text that was pasted and without the frame around the content."""
    main = html.split("<main", 1)[1].split("</main>", 1)[0]
    main = re.sub(r"(?s)<pre.*?</pre>|<form.*?</form>", " ", main)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


def explain_page(text: str) -> str:
    return shown(Client().post("/codes/explain/", {"text": text}).content.decode())


def surfaces(text: str) -> Iterator[str]:
    """All that the three ways of asking say about a text."""
    answer = ask(text)
    for item in answer["advice"]:
        yield " ".join(
            [*(item[key] for key in ("delivery", "sender", "server", "administrator")), str(item["retry"])]
        )
    yield " ".join(pair["explanation"] for pair in answer["pairs"])
    yield explain_page(text)
    yield command(text)


@pytest.mark.parametrize("text", UNANSWERED)
def test_s36_where_no_answer_came_every_surface_says_keep_the_data(text: str) -> None:
    answer = ask(text)
    assert [(pair["http"], pair["explanation"]) for pair in answer["pairs"]] == [(0, NO_ANSWER)]
    assert answer["codes"] == []
    first = answer["advice"][0]
    assert (first["registry"], first["code"], first["retry"]["verdict"]) == ("http", 0, "as_is_later")
    assert first["sender"].startswith("Keep the data and send it again")
    assert NO_ANSWER in explain_page(text)
    assert NO_ANSWER in command(text)
    for said in surfaces(text):
        assert not DROPS.search(said)


@pytest.mark.parametrize("text", TUNNELS)
def test_s36_an_open_tunnel_is_no_answer(text: str) -> None:
    for said in (ask(text)["pairs"][0]["explanation"], explain_page(text), command(text)):
        assert "no answer" in said
        assert "keep the data" in said
    assert ask(text)["advice"][0]["retry"]["verdict"] == "as_is_later"
    for said in surfaces(text):
        assert not DROPS.search(said)


def test_s36_a_tunnel_says_nothing_once_the_server_answers() -> None:
    text = f"{TUNNEL}> POST /datafeed HTTP/1.1\n< HTTP/1.1 406 Not Acceptable\n< Stroom-Status: 110"
    answer = ask(text)
    assert [(pair["http"], pair["stroom"]) for pair in answer["pairs"]] == [(406, 110)]
    assert answer["advice"][0]["code"] == 110
    (silent,) = ask(f"{TUNNEL}\ncurl: (52) Empty reply from server")["pairs"]
    assert (silent["http"], silent["stroom"]) == (0, None)
    taken = ask(f"{TUNNEL}> POST /datafeed HTTP/1.1\n< HTTP/1.1 200 OK\n< Stroom-Status: 0")
    assert taken["advice"][0]["retry"]["verdict"] == "not_needed"


@pytest.mark.parametrize("text", DOUBTFUL)
def test_s36_half_a_success_keeps_the_data_on_every_surface(text: str) -> None:
    answer = ask(text)
    first = answer["advice"][0]
    assert "keep the data" in first["sender"].casefold()
    assert first["retry"]["verdict"] in {"as_is_later", "after_wait", "unknown"}
    for said in surfaces(text):
        assert not DROPS.search(said), said
    assert "keep the data" in explain_page(text).casefold()
    assert "keep the data" in command(text).casefold()


@pytest.mark.parametrize("status", [100, 202, 204, 226, 301, 304, 406, 410, 499, 500, 502, 503])
def test_s36_a_contradicting_success_gives_the_http_codes_advice_first(status: int) -> None:
    """The advice of the HTTP status comes first, with that of Stroom 0 behind it, and neither drops the data."""
    answer = ask(f"{status}/0")
    assert answer["pairs"][0]["consistent"] is False
    assert (answer["advice"][0]["registry"], answer["advice"][0]["code"]) == ("http", status)
    assert answer["advice"][-1]["registry"] == "stroom"
    for item in answer["advice"]:
        assert item["sender"].startswith("Keep the data and send it again")
        assert "Tell the Stroom administrators" in item["sender"]
        assert (item["retry"]["verdict"], item["retry"]["same_request"]) == ("as_is_later", True)
    page = explain_page(f"{status}/0")
    assert f"HTTP {status} {StatusCode.objects.get(pk=f'http/{status}').name}" in page


def test_s36_every_pair_but_one_keeps_the_data_in_the_look_up_and_in_explain() -> None:
    """Every HTTP status with Stroom 0 and two refusals, every Stroom code with five HTTP statuses."""
    http = list(StatusCode.objects.filter(registry="http").values_list("code", flat=True))
    stroom = list(StatusCode.objects.filter(registry="stroom").values_list("code", flat=True))
    pairs = {(one, other) for one in http for other in (0, 110, 999)}
    pairs |= {(one, other) for one in (200, 204, 302, 403, 502) for other in stroom}
    found = find_codes("http", [str(code) for code in http])
    of_stroom = find_codes("stroom", [str(code) for code in stroom])
    for one, other in sorted(pairs - {(200, 0)}):
        judged = judge(found[str(one)], of_stroom[str(other)])
        for meaning in (meaning for code in judged.codes for meaning in code.meanings):
            sender = meaning.what_to_do["sender"]
            assert "keep" in sender.casefold(), (one, other, sender)
            assert not DROPS.search(sender), (one, other, sender)
            assert not DROPS.search(meaning.retry["note"]), (one, other)
            assert meaning.retry["verdict"] == meaning.retry_verdict != "not_needed", (one, other)
        assert [item.found for item in judged.advice] == judged.codes


@pytest.mark.parametrize("query", ["http=502&stroom=0", "http=202&stroom=0", "http=200&stroom=110", "stroom=0"])
def test_s36_the_page_of_a_pair_keeps_the_data(query: str) -> None:
    page = shown(Client().get(f"/codes/lookup/?{query}").content.decode())
    assert "keep the data" in page.casefold()
    assert not DROPS.search(page)
    assert "Not needed" not in page


@pytest.mark.parametrize("number", ["000", "0", "00", "-1", "0404"])
@pytest.mark.parametrize("stroom", ["", "0", "110", "000"])
def test_s36_a_look_up_of_no_answer_says_so(number: str, stroom: str) -> None:
    query = {"http": number} | ({"stroom": stroom} if stroom else {})
    answer = Client().get("/api/v1/codes/lookup/", query)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["http"], body["stroom"], body["answered"]) == (None, None, False)
    assert body["explanation"] == NO_ANSWER
    page = shown(Client().get("/codes/lookup/", query).content.decode())
    assert NO_ANSWER in page
    assert not DROPS.search(page)


@pytest.mark.parametrize(
    "query", ["000", "http 000", "http_code 000", "status 0", "-1", "000/0", "HTTP 000/0", "0"]
)
def test_s36_the_search_finds_no_success_for_no_answer(query: str) -> None:
    response = Client().get("/codes/", {"q": query})
    assert response.status_code == 200
    assert NO_ANSWER in shown(response.content.decode())
    found = Client().get("/api/v1/codes/", {"q": query}).json()["results"]
    assert found == [] or query == "0"


@pytest.mark.parametrize("query", ["stroom 000", "200/000", "200/00", "stroom: 00", "Stroom-Status 000"])
def test_s36_a_padded_number_is_never_the_success(query: str) -> None:
    response = Client().get("/codes/", {"q": query})
    assert "stroom" not in response.get("Location", "")
    assert (ask(query)["pairs"] or [{"stroom": None}])[0]["stroom"] is None


def test_s36_two_hundred_alone_says_first_what_a_delivery_needs() -> None:
    for status in (200, 202, 204, 226, 299):
        answer = ask(f"HTTP/1.1 {status} X")
        assert answer["advice"][0]["sender"].startswith(RULE)
        assert RULE in answer["pairs"][0]["explanation"]
        assert "Stroom-Status header" in answer["pairs"][0]["explanation"]


def test_s36_what_is_confirmed_comes_last() -> None:
    answer = ask("HTTP/1.1 200 OK\nStroom-Status: 0\n\n\nHTTP/1.1 503 Service Unavailable\nStroom-Status: 999\n")
    assert [(pair["http"], pair["stroom"]) for pair in answer["pairs"]] == [(503, 999), (200, 0)]
    assert answer["advice"][0]["code"] == 999


def test_s36_every_page_of_the_catalogue_keeps_the_data() -> None:
    for row in StatusCode.objects.all():
        for meaning in row.meanings.all():
            texts = [*meaning.what_to_do.values(), meaning.retry["note"]]
            if row.pk != "stroom/0":
                assert not any(DROPS.search(text) for text in texts), meaning.pk
        page = shown(Client().get(row.get_absolute_url()).content.decode())
        assert "keep the data" in page.casefold() or "keep it" in page.casefold(), row.pk


def test_s36_stroom_0_is_checked_first_and_deleted_last() -> None:
    sender = Meaning.objects.get(pk="stroom/0/stroom").what_to_do["sender"]
    assert sender.startswith("Check both numbers first: only HTTP 200 with Stroom-Status 0 is a success.")
    assert sender.endswith("only after that delete your copy.")
    answer = ask("HTTP/1.1 200 OK\nStroom-Status: 0\n")
    assert answer["pairs"][0]["consistent"] is True
    assert answer["advice"][0]["retry"]["verdict"] == "not_needed"


# --- the pairs that the shipped nginx file sends ---


def nginx_pairs() -> set[tuple[int, int]]:
    """Every HTTP status with the Stroom-Status that portal.conf gives it, read from its own words."""
    text = re.sub(r"(?m)^\s*#.*$", "", NGINX_FILE.read_text(encoding="utf-8"))
    table = re.search(r"map \$uri \$portal_stroom_status \{(.*?)\}", text, re.DOTALL)
    assert table
    stroom = dict(re.findall(r"(\S+)\s+(\d+);", table[1]))
    found = set()
    for codes, becomes, address in re.findall(r"error_page((?:\s+\d+)+)(?:\s+=(\d+))?\s+(\S+);", text):
        for code in codes.split():
            found.add((int(becomes or code), int(stroom.get(address, stroom["default"]))))
    return found


def test_m1_every_pair_of_the_shipped_nginx_file_fits() -> None:
    pairs = nginx_pairs()
    assert len(pairs) > 15
    assert pairs <= PROXY_PAIRS | PORTAL_PAIRS
    assert pairs | PORTAL_PAIRS >= PROXY_PAIRS
    for http, stroom in sorted(pairs):
        answer = Client().get(f"/api/v1/codes/lookup/?http={http}&stroom={stroom}").json()
        assert answer["consistent"] is True, (http, stroom)
        assert answer["generation"]


@pytest.mark.parametrize("status", [403, 404, 408, 414, 416, 421, 429, 502, 504, 505, 507])
def test_m1_an_error_of_nginx_gives_the_advice_of_its_http_status(status: int) -> None:
    answer = ask(f"HTTP/1.1 {status} X\nStroom-Status: 999\n")
    assert (answer["pairs"][0]["consistent"], answer["pairs"][0]["generation"]) == (True, "proxy in front")
    assert (answer["advice"][0]["registry"], answer["advice"][0]["code"]) == ("http", status)
    assert answer["advice"][0]["sender"].casefold().startswith("keep the data")


def test_m1_the_list_of_pairs_has_those_of_portal_and_proxy() -> None:
    page = Client().get("/codes/lookup/").content.decode()
    for http, stroom in nginx_pairs() | PORTAL_PAIRS:
        assert f"?http={http}&amp;stroom={stroom}" in page
