"""gunicorn as the parent of the portal's processes, where a site runs everything under gunicorn.

    gunicorn --config deploy/gunicorn.conf.py

`manage.py serve` is the usual way and needs no gunicorn. None of gunicorn's own workers may take deliveries: its
WSGI workers read a body that broke off as a whole one, and uvicorn's worker class lacks our protocol class, without
with which an offered upgrade is a 200 for data that was not read. So the worker here runs the portal's own server;
gunicorn binds the sockets, starts the processes and replaces them (TERM, HUP and USR2 work as usual).
"""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from portal import command_line  # noqa: E402  # the folder above must be on the path

command_line.choose_settings()
command_line.start_serving()

import django  # noqa: E402  # the settings must be named first

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import CommandError  # noqa: E402
from django.db import connections  # noqa: E402
from gunicorn.arbiter import Arbiter  # noqa: E402
from gunicorn.workers.base import Worker  # noqa: E402

from portal.environment import Environment  # noqa: E402
from portal.server.sockets import UNIX  # noqa: E402
from portal.server.startup import open_folder, prepare  # noqa: E402
from portal.server.waiting import wait_until_done  # noqa: E402
from portal.server.worker import BACKLOG, CLOSE_SECONDS, GRACE_SECONDS, serve  # noqa: E402

ENVIRONMENT: Environment = settings.ENVIRONMENT


class PortalWorker(Worker):  # type: ignore[misc]
    """One process of the portal. Its server watches over itself, so gunicorn's heartbeat is off."""

    def load_wsgi(self) -> None:
        """There is no WSGI application to load."""

    def init_signals(self) -> None:
        """Take back what the parent set; the server sets its own for TERM and INT."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))

    def run(self) -> None:
        """Serve until stopped."""
        os.umask(0o077)
        listening, ours = LIFELINE
        os.close(ours)
        serve(ENVIRONMENT, [listener.sock for listener in self.sockets], listening, held_open=True)


#: Readable for the workers when this process is gone: its end is never written to.
LIFELINE = os.pipe()

wsgi_app = "portal"  # gunicorn asks for a name; the worker loads none
worker_class = PortalWorker
workers = ENVIRONMENT.workers
bind = ENVIRONMENT.host if ENVIRONMENT.host.startswith(UNIX) else f"{ENVIRONMENT.host}:{ENVIRONMENT.port}"
backlog = BACKLOG
timeout = 0
graceful_timeout = int(GRACE_SECONDS) + CLOSE_SECONDS + 10
#: For gunicorn's socket; what the portal itself writes is for its user alone, see `run` and `on_starting`.
umask = 0o117 if bind.startswith(UNIX) else 0o077
proc_name = "stroom-portal"
control_socket_disable = True


def on_starting(server: Arbiter) -> None:
    """Database, catalogue, static files, swept store: as `manage.py serve` does."""
    os.umask(0o077)
    try:
        wait_until_done(lambda: prepare(lambda line: server.log.info("%s", line)))
    except CommandError as fault:
        sys.exit(str(fault))
    if warning := open_folder(ENVIRONMENT.data_dir):
        server.log.warning("%s", warning)
    connections.close_all()
