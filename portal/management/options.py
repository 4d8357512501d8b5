"""Arguments that several commands share."""

from datetime import UTC, datetime

from django.core.management import CommandError


def instant(text: str) -> datetime | None:
    """A time in ISO 8601, in UTC where it names no zone; None for nothing.

    Raises:
        CommandError: it is none.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as fault:
        raise CommandError(f"{text} is not a time such as 2027-01-31T12:00.") from fault
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
