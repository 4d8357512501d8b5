"""Environment variables that a platform sets by itself and that look like settings of the portal.

Kubernetes gives every container the addresses of all Services in its namespace. A Service called `portal` becomes
`PORTAL_SERVICE_HOST`, `PORTAL_PORT=tcp://…`, `PORTAL_PORT_8000_TCP_ADDR` and so on.
"""

import ipaddress
import re
from collections.abc import Mapping

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})


def is_injected(name: str, value: str) -> bool:
    """Return whether Kubernetes may have set a variable: name and value have one of its forms."""
    return any(form.fullmatch(name) and fits(value) for form, fits in _FORMS)


def warning(environ: Mapping[str, str], known: frozenset[str] = frozenset()) -> str:
    """Return a line that names the ignored variables; empty if there are none."""
    names = sorted(name for name, value in environ.items() if name not in known and is_injected(name, value))
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"{names[0]}{more} passed over: Kubernetes sets these for a Service called portal. "
        "Set enableServiceLinks: false in the pod's specification."
    )


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_port(value: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", value)) and 0 < int(value) < 65536


def _is_url(value: str) -> bool:
    """Return whether it is a URL such as tcp://10.96.3.7:8000; IPv6 may lack brackets, as in older versions."""
    scheme, separator, rest = value.partition("://")
    host, _, port = rest.rpartition(":")
    return bool(separator) and scheme in _PROTOCOLS and _is_address(host.strip("[]")) and _is_port(port)


def _form(ending: str) -> re.Pattern[str]:
    return re.compile(rf"PORTAL_(?:\w+_)?{ending}")


_OF_PORT = r"PORT_\d+_(?:TCP|UDP|SCTP)"
_FORMS = (
    (_form("SERVICE_HOST"), _is_address),
    (_form(r"SERVICE_PORT(?:_\w+)?"), _is_port),
    (_form(rf"(?:PORT|{_OF_PORT})"), _is_url),
    (_form(f"{_OF_PORT}_PROTO"), _PROTOCOLS.__contains__),
    (_form(f"{_OF_PORT}_PORT"), _is_port),
    (_form(f"{_OF_PORT}_ADDR"), _is_address),
)
