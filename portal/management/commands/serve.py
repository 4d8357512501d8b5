"""Server command: prepares the data folder and database, then serves until it is stopped."""

import logging
import signal
import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from portal.environment import Environment
from portal.server.restart import TRIAL_OPTION, Inheritance
from portal.server.server import STOP_SIGNALS
from portal.server.sockets import CannotListen, describe, host_warning, is_held_open, open_listener
from portal.server.startup import open_folder, prepare, share_memory
from portal.server.supervisor import Supervisor, report_started
from portal.server.waiting import wait_until_done
from portal.server.worker import BACKLOG, CLOSE_SECONDS, GRACE_SECONDS, serve

log = logging.getLogger("portal.start")


class Command(BaseCommand):
    help = "Prepare the database, catalogue and static files where needed, and serve the portal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            TRIAL_OPTION, action="store_true", help="Prepare and end: says whether a restart would succeed."
        )

    def handle(self, *args: Any, **options: Any) -> None:  # Django's signature
        environment: Environment = settings.ENVIRONMENT
        if options["prepare"]:
            prepare(log.info, self._say)
            return
        inherited = Inheritance.take()
        if inherited:  # blocked by the program before; until the workers run, a stop needs no ceremony
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        held_open = is_held_open()
        listener = self._listen(environment, inherited)
        wait_until_done(lambda: prepare(log.info, self._say), listener)
        self._warn(environment, listener)
        self._say_who_is_trusted(environment, listener)
        self._say(
            f"Serving on {describe(listener)} (administrator: {environment.admin_username}, stop with Ctrl-C)"
        )
        # A connection must not be shared with the workers.
        connections.close_all()
        share_memory()
        supervisor = Supervisor(
            lambda lifeline: serve(
                environment, [listener], lifeline, on_started=report_started, held_open=held_open
            ),
            workers=environment.workers,
            stop_seconds=int(GRACE_SECONDS) + CLOSE_SECONDS + 10,
            # A terminal that is closed sends SIGHUP too, and means the end.
            listener=None if sys.stdin is not None and sys.stdin.isatty() else listener.fileno(),
            inherited=inherited,
        )
        code = supervisor.run()
        if code:
            sys.exit(code)

    def _listen(self, environment: Environment, inherited: Inheritance | None) -> socket.socket:
        if inherited:
            listener = socket.socket(fileno=inherited.listener)
            listener.settimeout(0)
            return listener
        try:
            return open_listener(environment.host, environment.port, BACKLOG)
        except CannotListen as fault:
            raise CommandError(str(fault)) from fault

    def _warn(self, environment: Environment, listener: socket.socket) -> None:
        """Warn about settings that an operator may not have intended."""
        for line in (
            "" if is_held_open() else host_warning(environment.host, listener),
            open_folder(environment.data_dir),
        ):
            if line:
                log.warning("%s", line)

    def _say_who_is_trusted(self, environment: Environment, listener: socket.socket) -> None:
        """Name a list of trusted proxies that cannot mean what it says on this listener."""
        on_unix, unix = listener.family == socket.AF_UNIX, environment.trusted_proxies.unix
        if unix and not on_unix:
            self._say(
                f"PORTAL_TRUSTED_PROXIES names unix, but the portal listens on {describe(listener)}: "
                "unix counts on a Unix socket only."
            )
        elif on_unix and not unix:
            self._say(
                "The portal listens on a Unix socket and PORTAL_TRUSTED_PROXIES does not name unix: "
                "certificates that the proxy reports are ignored."
            )

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
