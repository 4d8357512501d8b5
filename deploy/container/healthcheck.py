"""Health check of a container: exit code 0 while /readyz answers 200 on the portal's own HOST and PORT.

It uses no proxy, also where `http_proxy` is set: container engines pass that in from the host.
"""

import http.client
import os
import socket
import sys

SECONDS = 4.0


class LocalConnection(http.client.HTTPConnection):
    """A connection to the portal of this container, on its address or its Unix socket."""

    def connect(self) -> None:
        host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
        if host.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(SECONDS)
            self.sock.connect(host.removeprefix("unix:"))
        else:
            here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened on
            self.sock = socket.create_connection((here, port), SECONDS)


def main() -> None:
    """Ask once."""
    connection = LocalConnection("localhost", timeout=SECONDS)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as fault:
        sys.exit(f"the portal does not answer: {fault}")
    if status != http.client.OK:
        sys.exit(f"/readyz answers {status}")


if __name__ == "__main__":
    main()
