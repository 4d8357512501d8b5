"""One event is one line, and says which request it belongs to (S12)."""

import logging
import sys

import pytest
from django.test import Client

from portal.http.request_ids import current_request_id
from portal.logs import OneLine, one_line

HOSTILE = ["a\nb", "a\r\nb", "a\0b", "\x1b[2Jgone", "a\u202eb", "a\u2028b", "\x85", "half \udc80 pair"]


def _record(message: str, **kwargs: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "portal.test", "levelname": "INFO", "msg": message, **kwargs})


@pytest.mark.parametrize("text", HOSTILE)
def test_s12_what_a_sender_wrote_stays_in_its_line(text: str) -> None:
    line = OneLine().format(_record("the feed %s", args=(text,)))
    assert line.isprintable()
    assert one_line("plain – text") == "plain – text"


def test_s12_a_trace_is_one_line_too() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        line = OneLine().format(_record("failed", exc_info=sys.exc_info()))
    assert line.isprintable()
    assert "Traceback" in line
    assert r"first\nsecond" in line


@pytest.mark.django_db
def test_s12_a_host_that_is_not_ours_is_told_without_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody can send one, as often as they like."""
    assert Client().get("/codes/", headers={"host": "elsewhere.example.org"}).status_code == 400
    (record,) = [record for record in caplog.records if record.name == "django.security.DisallowedHost"]
    assert "elsewhere.example.org" in record.getMessage()
    assert "Traceback" not in OneLine().format(record)


@pytest.mark.django_db
def test_a_request_is_told_with_its_id_and_without_its_query() -> None:
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(OneLine().format(record))

    collector = Collector()
    logging.getLogger("portal.requests").addHandler(collector)
    try:
        answer = Client().get("/api/v1/feeds/?token=secret", headers={"X-Request-ID": "ticket-4711"})
    finally:
        logging.getLogger("portal.requests").removeHandler(collector)
    assert answer["X-Request-ID"] == "ticket-4711"
    [line] = lines
    assert " INFO portal.requests request_id=ticket-4711 GET /api/v1/feeds/ 401 " in line
    assert "secret" not in line
    assert current_request_id.get() == "-"
