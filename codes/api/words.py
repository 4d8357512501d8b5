"""Lists of words that the API description names once, wherever they are used."""

from codes.catalogue.values import Verdict


def retry_verdicts() -> list[str]:
    """Return the words that stand under two names, `verdict` and `retry`, and are one type."""
    return list(Verdict)
