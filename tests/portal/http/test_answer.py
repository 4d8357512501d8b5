"""Whole answers in the form of ASGI."""

import pytest

from portal.http.answer import Answer, text_answer


def test_a_text_answer_ends_with_its_line() -> None:
    answer = text_answer(405, "Use GET.", ("Allow", "GET"))
    assert answer.text == "Use GET.\n"
    assert answer.fields() == [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"allow", b"GET"),
        (b"content-length", b"9"),
    ]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_no_length(status: int) -> None:
    assert Answer(status, (("ETag", '"a"'),)).fields() == [(b"etag", b'"a"')]


def test_a_given_length_stays() -> None:
    assert Answer(200, (("Content-Length", "0"),)).fields() == [(b"content-length", b"0")]
