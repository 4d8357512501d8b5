"""`manage.py serve`: prepare what is missing, then serve until told to stop."""

import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from portal.environment import Environment
from portal.preparation import prepare
from portal.supervisor import Supervisor
from portal.worker import BACKLOG, CLOSE_SECONDS, GRACE_SECONDS, serve


class Command(BaseCommand):
    help = "Prepare the database, catalogue and static files where needed, and serve the portal."

    def handle(self, *args: Any, **options: Any) -> None:  # Django's signature
        environment: Environment = settings.ENVIRONMENT
        listener = self._listen(environment)
        prepare(self._say)
        user = environment.admin_username
        self._say(f"Serving on {_address(environment, listener)} (administrator: {user}, stop with Ctrl-C)")
        # A connection must not be shared with the workers.
        connections.close_all()
        supervisor = Supervisor(
            lambda lifeline: serve(environment, [listener], lifeline),
            workers=environment.workers,
            patience_seconds=int(GRACE_SECONDS) + CLOSE_SECONDS + 10,
        )
        code = supervisor.run()
        if code:
            sys.exit(code)

    def _listen(self, environment: Environment) -> socket.socket:
        family = socket.AF_INET6 if ":" in environment.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((environment.host, environment.port))
        except OSError as fault:
            where = f"{environment.host}:{environment.port}"
            raise CommandError(f"Cannot listen on {where}: {fault.strerror}. Set HOST or PORT.") from fault
        listener.listen(BACKLOG)
        listener.settimeout(0)
        return listener

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _address(environment: Environment, listener: socket.socket) -> str:
    host = f"[{environment.host}]" if ":" in environment.host else environment.host
    return f"http://{host}:{listener.getsockname()[1]}"
