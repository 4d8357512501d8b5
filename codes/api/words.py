"""Words that the API description uses in several places."""

from codes.catalogue.values import Verdict

#: Tag of the operations in the API description.
CATALOGUE = ["catalogue"]


def retry_verdicts() -> list[str]:
    """Return the words that are used under two names, `verdict` and `retry`, and are one type."""
    return list(Verdict)
