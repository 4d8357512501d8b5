"""The dry run over REST: what `/datafeed` would answer, for those who may see feeds."""

import pytest

from tests.calls import VIEWER, anonymous, caller, problem_of, superuser
from tests.factories import DN, make_feed

pytestmark = pytest.mark.django_db

PATH = "/api/v1/receipt/check/"


def test_an_accepted_request_shows_the_answer_with_a_placeholder() -> None:
    make_feed("FEED-A")
    body = superuser().post(PATH, {"headers": {"Feed": "FEED-A", "Compression": "gzip"}}).json()
    assert body["decision"] == "Receive"
    assert (body["http_status"], body["stroom_status"], body["message"]) == (200, 0, "OK")
    assert body["response"]["body"] == "<receipt id>\n"
    assert body["response"]["headers"]["Stroom-Status"] == "0"
    assert body["stored"] is True
    assert [step["step"] for step in body["trace"]] == [1, 2, 3, 4, 5, 6, 7]


def test_a_refusal_shows_the_trace_and_the_text() -> None:
    make_feed("FEED-A", allow=[DN])
    body = superuser().post(PATH, {"headers": {"feed": "FEED-A"}, "sender_dn": "CN=stranger"}).json()
    assert (body["decision"], body["http_status"], body["stroom_status"]) == ("Reject", 403, 310)
    assert body["response"]["headers"]["Stroom-Error"].startswith("Stroom Status 310 - ")
    assert body["response"]["body"].endswith("Receipt: <receipt id>\n")
    assert body["trace"][-1]["step"] == 6
    assert body["trace"][-1]["outcome"] == "stop"


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({}, 300),
        ({"sender_dn": None}, 300),
        ({"sender_dn": DN}, 0),
        ({"sender_dn": DN, "verified": False}, 310),
        ({"certificate": None}, 300),
        ({"certificate": None, "sender_dn": DN}, 0),
        ({"certificate": {"dn": DN}, "sender_dn": None, "verified": True}, 0),
        ({"certificate": {"dn": DN}}, 0),
        ({"certificate": {"dn": DN, "verified": False}}, 310),
        ({"certificate": {"dn": DN, "expires": "2001-01-01T00:00:00Z"}}, 310),
        ({"certificate": {"dn": DN, "expires": None}}, 0),
        ({"headers": {"Feed": "FEED-A", "RemoteDN": DN, "X-SSL-Client-Verify": "SUCCESS"}}, 300),
    ],
)
def test_the_certificate_comes_in_two_forms_and_never_by_header(question: dict[str, object], code: int) -> None:
    make_feed("FEED-A", allow=[DN])
    body = superuser().post(PATH, {"headers": {"Feed": "FEED-A"}, **question}).json()
    assert body["stroom_status"] == code


def test_drop_says_that_nothing_would_be_stored() -> None:
    make_feed("FEED-A", status="Drop")
    body = superuser().post(PATH, {"headers": {"Feed": "FEED-A"}}).json()
    assert (body["decision"], body["http_status"], body["stored"]) == ("Drop", 200, False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "headers"),
        ({"headers": []}, "headers"),
        ({"headers": {"Feed": 7}}, "headers.Feed"),
        ({"headers": {}, "verify": True}, "verify"),
        ({"headers": {}, "verified": "yes"}, "verified"),
        ({"headers": {}, "sender_dn": 7}, "sender_dn"),
        ({"headers": {}, "certificate": "CN=a"}, "certificate"),
        ({"headers": {}, "certificate": {}}, "certificate.dn"),
        ({"headers": {}, "certificate": {"dn": DN, "issuer": "x"}}, "certificate.issuer"),
        ({"headers": {}, "certificate": {"dn": DN}, "sender_dn": DN}, "certificate"),
        ({"headers": {}, "certificate": {"dn": DN}, "verified": False}, "certificate"),
        ({"headers": {str(n): "x" for n in range(1001)}}, "headers"),
    ],
)
def test_a_question_that_makes_no_sense_is_named(body: dict[str, object], field: str) -> None:
    problem = problem_of(superuser().post(PATH, body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_s22_the_trace_needs_a_login_and_the_right_to_see_feeds() -> None:
    make_feed("FEED-A")
    question = {"headers": {"Feed": "FEED-A"}}
    response = anonymous().post(PATH, question)
    assert "WWW-Authenticate" in response
    problem_of(response, 401)
    problem_of(caller().post(PATH, question), 403)
    problem_of(caller("feeds.add_feed", "feeds.change_feed").post(PATH, question), 403)
    for scope in ["check", "read"]:
        assert caller(*VIEWER, scopes=[scope]).post(PATH, question).status_code == 200
    problem_of(caller(*VIEWER, scopes=["write"]).post(PATH, question), 403)


def test_s22_every_anonymous_question_gets_one_answer() -> None:
    make_feed("FEED-A", status="Reject")
    questions = [{"headers": {"Feed": feed}} for feed in ["FEED-A", "NO-SUCH-FEED"]] + [{}]
    answers = set()
    for question in questions:
        body = problem_of(anonymous().post(PATH, question), 401)
        answers.add(tuple(sorted((key, value) for key, value in body.items() if key != "request_id")))
    assert len(answers) == 1
