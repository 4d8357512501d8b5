"""Enumerations that the API description names once."""

from codes.catalogue.values import Verdict


def retry_verdicts() -> list[str]:
    """Return the words that are used under two names, `verdict` and `retry`, and are one type."""
    return list(Verdict)
