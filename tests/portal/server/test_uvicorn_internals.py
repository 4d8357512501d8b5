"""The parts of uvicorn that are not documented but used: each is listed with its use, and no other is used.

After an update of uvicorn a failure here names the attribute. Read its new form in the named class, then the
overrides in `portal/server/protocol.py` and `portal/server/server.py` that rely on it.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from uvicorn import Server
from uvicorn.lifespan.off import LifespanOff
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from portal.environment import BASE_DIR
from portal.server import protocol, server
from portal.server.protocol import PortalProtocol, PortalState
from portal.server.server import PortalServer

MODULES = (protocol, server)
#: Class of uvicorn: its attributes that we use or override, and what for.
USED: dict[type, dict[str, str]] = {
    HttpToolsProtocol: {
        "app": "asked for immediate answers and for addresses of deliveries",
        "client": "replaced by the accepted address",
        "cycle": "the request in progress; None before the first",
        "flow": "whether reading or writing is paused",
        "headers": "repeated to a new parser after an offered upgrade",
        "loop": "timer of the request head",
        "parser": "fed by data_received, replaced after an offered upgrade",
        "pipeline": "no immediate answer while requests are queued",
        "scope": "method and extensions of the request",
        "server_state": "default headers; our state with on_room and heads",
        "transport": "written to, closed",
        "url": "says whose answer a malformed request gets; kept by on_url",
        "_start_asgi_task": "overridden: called once for each request, also for queued ones",
        "_unset_keepalive_if_required": "called before parsing, as uvicorn's own data_received does",
        "connection_made": "overridden: sets transport, flow, client",
        "connection_lost": "overridden: sets parser to None",
        "eof_received": "overridden: does nothing",
        "data_received": "replaced: parses, and warns about upgrades",
        "pause_writing": "overridden",
        "send_400_response": "replaced",
        "on_message_begin": "overridden: makes scope and headers, empties url",
        "on_url": "overridden: appends to url",
        "on_header": "overridden: appends to headers",
        "on_headers_complete": "overridden: makes the cycle, starts or queues it",
        "on_body": "overridden: appends to the body of the cycle",
        "on_message_complete": "overridden: ends the body of the cycle",
        "on_response_complete": "overridden: starts the next request or the keep-alive timer",
        "shutdown": "closes an idle connection, ends keep-alive of a busy one",
    },
    RequestResponseCycle: {
        "keep_alive": "ended on a half-closed connection",
        "message_event": "wakes the reader of the body",
        "response_complete": "set by an immediate answer",
        "response_started": "set by an immediate answer",
        "scope": "holds the Connection of a request that is malformed later",
    },
    FlowControl: {
        "read_paused": "the portal does not read: the client is not waited for",
        "write_paused": "the client does not read",
    },
    ServerState: {
        "connections": "counted against the limit; closed at a stop",
        "default_headers": "written with immediate answers",
    },
    Server: {
        "config": "given to each connection",
        "force_exit": "ends the wait for deliveries",
        "handle_exit": "overridden: called as a signal handler",
        "lifespan": "made before startup is called",
        "server_state": "replaced by PortalState",
        "servers": "empty: sockets are ours",
        "should_exit": "ends the main loop, which calls shutdown",
        "shutdown": "overridden: closes servers, sockets and connections, waits for tasks",
        "started": "demanded for the call of shutdown",
        "startup": "replaced: would listen through asyncio",
    },
    LifespanOff: {
        "startup": "called as uvicorn's own startup does",
        "state": "given to each connection",
    },
}
OURS = {HttpToolsProtocol: PortalProtocol, ServerState: PortalState, Server: PortalServer}
#: What an expression with this last name is an object of.
OBJECTS: dict[str, type] = {
    "cycle": RequestResponseCycle,
    "flow": FlowControl,
    "server_state": ServerState,
    "_state": ServerState,
    "lifespan": LifespanOff,
    "connection": HttpToolsProtocol,
}
#: Names that modules of ours import from uvicorn.
IMPORTED = {
    "uvicorn",
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol",
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle",
    "uvicorn.protocols.http.httptools_impl.STATUS_LINE",
    "uvicorn.server.ServerState",
}


@cache
def attributes_of(cls: type) -> set[str]:
    """Return methods and class attributes, and what methods assign to `self`."""
    classes = [each for each in cls.__mro__ if each.__module__.startswith(("uvicorn", "portal"))]
    return {
        name for each in classes for name in {*vars(each), *_assigned(_tree(each))} if not name.startswith("__")
    }


def _tree(cls: type) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


def _assigned(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _last_name(node.value) == "self":
            yield node.attr


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return "self" if _last_name(node.func) == "super" else ""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def used_of(cls: type) -> set[str]:
    """Return the attributes of a class of uvicorn that our modules use, override or assign."""
    ours = OURS.get(cls)
    own = {*vars(ours), *_names_on(_tree(ours), {"self"})} if ours else set()
    names = {name for name, of in OBJECTS.items() if of is cls}
    others = {name for module in MODULES for name in _names_on(ast.parse(inspect.getsource(module)), names)}
    return {name for name in own | others if name in attributes_of(cls)}


def _names_on(tree: ast.AST, objects: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _last_name(node.value) in objects:
            yield node.attr


@pytest.mark.parametrize("cls", USED, ids=lambda cls: cls.__name__)
def test_what_we_use_of_uvicorn_exists(cls: type) -> None:
    missing = {name: use for name, use in USED[cls].items() if name not in attributes_of(cls)}
    assert not missing, (
        f"{inspect.getsourcefile(cls)}: {cls.__name__} has changed. It had, and we use it for: {missing}"
    )


@pytest.mark.parametrize("cls", USED, ids=lambda cls: cls.__name__)
def test_what_we_use_of_uvicorn_is_listed(cls: type) -> None:
    """Also fails where uvicorn begins to use a name that was ours alone."""
    assert used_of(cls) == set(USED[cls])


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_every_attribute_on_our_objects_is_ours_or_uvicorns(cls: type) -> None:
    used = set(_names_on(_tree(OURS[cls]), {"self"}))
    assert {name for name in used if not name.startswith("__")} <= attributes_of(OURS[cls])


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_overrides_take_the_arguments_that_uvicorn_passes(cls: type) -> None:
    overridden = [
        name for name in vars(OURS[cls]) if not name.startswith("__") and callable(getattr(cls, name, None))
    ]
    ours, theirs = (
        {name: list(inspect.signature(getattr(of, name)).parameters) for name in overridden}
        for of in (OURS[cls], cls)
    )
    assert ours == theirs


def test_only_two_modules_import_uvicorn() -> None:
    found = {
        path: set(_imported(path))
        for app in ("portal", "feeds", "codes")
        for path in (BASE_DIR / app).rglob("*.py")
    }
    assert {path.stem for path, names in found.items() if names} == {"protocol", "server"}
    assert set().union(*found.values()) == IMPORTED
    assert httptools_impl.STATUS_LINE[404] == b"HTTP/1.1 404 Not Found\r\n"


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "uvicorn")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "uvicorn":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
