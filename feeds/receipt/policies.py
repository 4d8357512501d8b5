"""Policies of feeds and tokens of senders, as the database holds them at this moment.

Nothing is cached (receipt contract, section 5): a change counts from the next request on, in every worker.
"""

from collections.abc import Callable

from feeds.models import Feed
from feeds.rules.decision import NO_TOKEN, FeedPolicy, SenderToken
from feeds.rules.facts import TOKEN_SUBJECT
from feeds.rules.metadata import Bearer
from portal.access.queries import is_sender, look_up, note_use
from portal.access.sending import SEND
from portal.database.threads import Unavailable, on_live_connection, promptly
from portal.http.client import is_within


def read_policy(feed: str | None) -> FeedPolicy | None:
    """Read a feed's policy from the database.

    Raises:
        Unavailable: it cannot be read at this moment.
        DatabaseRefused: it cannot be read until the database is repaired.
    """
    name = (feed or "").strip()
    return on_live_connection(lambda: _policy_now(name))


def read_token(bearer: Bearer | None) -> SenderToken:
    """Look up the token that a sender presents, in one statement.

    Raises:
        Unavailable: it cannot be looked up at this moment.
        DatabaseRefused: it cannot be looked up until the database is repaired.
    """
    if bearer is None:
        return NO_TOKEN
    if bearer.fault:
        return SenderToken(fault=bearer.fault)
    return on_live_connection(lambda: _token_now(bearer))


def read_reported_token(subject: str) -> SenderToken:
    """Return the token that a stroom-proxy reports. The proxy has checked the secret; the name must still be valid.

    Raises:
        Unavailable: it cannot be looked up at this moment.
    """
    name = subject.removeprefix(TOKEN_SUBJECT)
    if name == subject or not name.isprintable():
        return NO_TOKEN

    def look() -> bool:
        with promptly():
            return is_sender(name)

    known = on_live_connection(look)
    return SenderToken(name) if known else SenderToken(fault=f"there is no valid token called {name}")


class KnownPolicies:
    """Reads that requests of one batch share: each feed and token is read once, after the last request arrived."""

    def __init__(self, read: Callable[[str | None], FeedPolicy | None]) -> None:
        self._read = read
        self._found: dict[str | None, FeedPolicy | None] = {}
        self._tokens: dict[Bearer | None, SenderToken] = {}

    def token(self, bearer: Bearer | None) -> SenderToken:
        """Look up a token, see `read_token`."""
        if bearer not in self._tokens:
            self._tokens[bearer] = read_token(bearer)
        return self._tokens[bearer]

    def read(self, feed: str | None) -> FeedPolicy | None:
        """Read a feed's policy, see `read_policy`."""
        if feed not in self._found:
            self._found[feed] = self._read(feed)
        return self._found[feed]


def _token_now(bearer: Bearer) -> SenderToken:
    with promptly():
        token = look_up(bearer.secret)
        if token is None:
            return SenderToken(fault="it is not known, or was revoked")
        if token.fault:
            return SenderToken(fault=f"{token.fault}: {token.name}")
        if SEND not in token.scopes:
            return SenderToken(fault="it does not have the scope send")
        if not is_within(bearer.address, token.networks):
            return SenderToken(fault=f"it may not be used from {bearer.address or 'an unknown address'}")
        note_use(token)
        return SenderToken(token.name, rate=token.rate)


def _policy_now(name: str) -> FeedPolicy | None:
    try:
        with promptly():
            policy = Feed.objects.policy_for(name)
            if policy is None and Feed.objects.are_lost():
                raise Unavailable("there are receipts and never was a feed: the feeds have to be restored")
            return policy
    except ValueError as fault:  # a value that no version of ours has written
        raise Unavailable("the rules of a feed cannot be read") from fault
