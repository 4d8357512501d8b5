"""Create an API token for a user and print it once, on a line of its own."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.access import sending
from portal.http.client import read_networks
from portal.management.options import instant
from portal.models import SCOPES, USUAL_SCOPES, ApiToken


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="whose rights the token has")
        parser.add_argument("--name", default="", help="what uses it")
        usual = ",".join(USUAL_SCOPES)
        parser.add_argument(
            "--scopes", default=usual, help=f"any of {', '.join(SCOPES)}, with commas; {usual} when left out"
        )
        parser.add_argument("--rate", type=int, help="with the scope send: most deliveries in a minute")
        parser.add_argument("--networks", default="", help="networks from which it may be used, with commas")
        parser.add_argument("--expires", default="", help="ISO 8601; without a zone it is UTC; never when left out")

    def handle(
        self,
        *args: Any,
        username: str,
        name: str,
        scopes: str,
        expires: str,
        rate: int | None,
        networks: str,
        **options: Any,
    ) -> None:
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user called {username}.")
        wanted = [word.strip() for word in scopes.split(",") if word.strip()]
        unknown = sorted(set(wanted) - set(SCOPES))
        if unknown or not wanted:
            raise CommandError(f"Scopes are {', '.join(SCOPES)}; not {', '.join(unknown) or 'nothing'}.")
        if sending.SEND in wanted and not sending.is_sender_name(name):
            raise CommandError(f"{sending.BAD_NAME} Give it with --name.")
        if rate is not None and (sending.SEND not in wanted or rate < 1):
            raise CommandError("--rate is at least 1, and needs the scope send.")
        _, secret = ApiToken.objects.issue(
            user, name=name, scopes=wanted, expires=_future(expires), rate=rate, networks=_networks(networks)
        )
        self.stdout.write(secret)


def _networks(text: str) -> list[str]:
    try:
        return read_networks(word for word in text.split(",") if word.strip())
    except ValueError as fault:
        raise CommandError(f"--networks: {fault}.") from None


def _future(text: str) -> datetime | None:
    moment = instant(text)
    if moment is not None and moment <= datetime.now(UTC):
        raise CommandError(f"{text} is past already.")
    return moment
