"""Processor time that Django takes for pages, in milliseconds, as JSON: `python -m benchmarks.cold PATH…`.

The response cache is not asked: it is in front of Django. Settings, templates and catalogue are warm, as they are
after the first pages of a worker.
"""

import io
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.core.handlers.wsgi import WSGIHandler

TIMES = 20


def milliseconds(handler: WSGIHandler, path: str) -> float:
    """Return the median of the processor times of one page."""
    times = []
    for _ in range(TIMES + 2):
        environ = _environ(path)
        began = time.process_time()
        response: Any = handler(environ, _start)
        b"".join(response)
        response.close()
        times.append((time.process_time() - began) * 1000)
        if response.status_code != 200:
            raise RuntimeError(f"{path} was answered {response.status_code}")
    return statistics.median(times[2:])


def _start(*_: Any) -> Callable[[bytes], object]:
    return lambda _: None


def _environ(path: str) -> dict[str, Any]:
    address, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": address,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }


if __name__ == "__main__":
    logging.disable()  # a line for each page would be measured too
    served = WSGIHandler()
    print(json.dumps({path: milliseconds(served, path) for path in sys.argv[1:]}))
