"""The policy of a feed as the database holds it at this moment. Nothing is cached (receipt contract, section 5)."""

from collections.abc import Callable

from feeds.models import Feed
from feeds.rules.decision import FeedPolicy
from portal.database.threads import Unavailable, on_live_connection, promptly


def read_policy(feed: str | None) -> FeedPolicy | None:
    """Read a feed's policy from the database.

    Raises:
        Unavailable: it cannot be read at this moment.
        Refused: it cannot be read until the database is repaired.
    """
    name = (feed or "").strip()
    return on_live_connection(lambda: _policy_now(name))


class KnownPolicies:
    """Policies that requests of one batch share: each feed is read once, after the last of them had arrived."""

    def __init__(self, read: Callable[[str | None], FeedPolicy | None]) -> None:
        self._read = read
        self._found: dict[str | None, FeedPolicy | None] = {}

    def read(self, feed: str | None) -> FeedPolicy | None:
        """Read a feed's policy, see `read_policy`."""
        if feed not in self._found:
            self._found[feed] = self._read(feed)
        return self._found[feed]


def _policy_now(name: str) -> FeedPolicy | None:
    try:
        with promptly():
            policy = Feed.objects.policy_for(name)
            if policy is None and Feed.objects.are_lost():
                raise Unavailable("there are receipts and never was a feed: the feeds have to be restored")
            return policy
    except ValueError as fault:  # a value that no version of ours has written
        raise Unavailable("the rules of a feed cannot be read") from fault
