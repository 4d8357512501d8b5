"""A gate for tests of the edge over a handler of their own, in which every address takes a body."""

from collections.abc import Callable
from concurrent.futures import Executor

from portal.server.bridge import DjangoBridge
from portal.server.gate import Gate, Rules
from portal.server.routes import LARGE_BODY, Route


def gate(django: DjangoBridge, threads: Executor, most: Callable[[], int] = lambda: LARGE_BODY) -> Gate:
    return Gate(
        django,
        Rules(
            route=lambda method, path: Route(most(), most()),
            is_signed_in=lambda headers: False,
            callers=threads,
            disk=threads,
        ),
    )
