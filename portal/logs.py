"""Log format: one line for each event, with the id of its request (S12).

Lines go to standard error, where systemd and container engines expect them, and carry no secrets: a request is
logged without its query, headers and body.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from portal.http.request_ids import current_request_id

requests = logging.getLogger("portal.requests")


def one_line(text: str) -> str:
    """Return the text with all characters escaped that could end, hide or reorder a line."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


class OneLine(logging.Formatter):
    """Formatter: time, level, logger, request id, message; a traceback stays in the line of its event."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        if record.stack_info:
            message = f"{message}\n{record.stack_info}"
        head = f"{at} {record.levelname} {record.name} request_id={current_request_id.get()}"
        return f"{head} {one_line(message)}"


class WithoutTrace(logging.Filter):
    """Filter that removes tracebacks of errors which any client can cause, and so fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


def log_request(request: HttpRequest, response: HttpResponseBase, started: float) -> None:
    """Log an answered request, without its query, which may hold secrets."""
    milliseconds = (time.monotonic() - started) * 1000
    requests.info(
        "%s %s %d %.0fms address=%s",
        request.method,
        request.path,
        response.status_code,
        milliseconds,
        getattr(request, "client_address", ""),
    )


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"without_trace": {"()": "portal.logs.WithoutTrace"}},
    "formatters": {"line": {"()": "portal.logs.OneLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "portal": {"level": "INFO"},
        "feeds": {"level": "INFO"},
        # Django's own handlers print over several lines; a 4xx is in the line of its request already.
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"filters": ["without_trace"]},
        "django.server": {"handlers": [], "propagate": True},
    },
}
