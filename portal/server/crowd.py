"""Limit on connections: when there are too many, those that wait for their client are closed.

Where few places are left, connections are closed that wait for a request, for a stalled body, or for a client that
does not read; first those of the network with the most connections.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import Protocol

from portal.http.client import network_key

log = logging.getLogger(__name__)

#: Seconds between two looks at all connections; with very many of them, looks are fewer.
LOOK_SECONDS, CONNECTIONS_A_SECOND = 0.1, 20_000
#: How fast a body must be on average, and after how many seconds, where connections are scarce and its network has
#: more than its share.
BYTES_A_SECOND, SLOW_AFTER_SECONDS = 64 * 1024, 3.0
#: Seconds between two lines in the log.
QUIET_SECONDS = 60.0


class Waiting(Enum):
    """Kinds of waits, each with the seconds after which the connection may close: usually, and where its network
    has more than its share.
    """

    REQUEST = (1.0, 0.25)
    BODY = (2.0, 0.5)
    DELIVERY = (5.0, 2.0)
    READER = (6.0, 3.0)

    @property
    def usual_seconds(self) -> float:
        return self.value[0]

    @property
    def short_seconds(self) -> float:
        return self.value[1]


class Member(Protocol):
    """A connection, as far as this module asks."""

    @property
    def peer(self) -> str:
        """The address at its other end."""

    @property
    def waiting(self) -> tuple[Waiting, float] | None:
        """The wait for the client, and its begin; None while the portal is working."""

    @property
    def body(self) -> tuple[int, float] | None:
        """Bytes of the body that have come, and since when; None while none is on its way."""

    def give_way(self) -> None:
        """Close."""


class Crowd:
    """Chooses the connections that are closed."""

    def __init__(
        self, most: int, *, trusts: Callable[[str | None], bool] = lambda _: False, now: Callable[[], float]
    ) -> None:
        """Begin.

        Args:
            most: connections that the server may have.
            trusts: whose connections are exempt: those of a proxy serve many clients.
            now: the clock of `Member.waiting`.
        """
        self.most = most
        self._free = max(1, most // 8)
        self._share = most // 2
        self._trusts = trusts
        self._now = now
        self._look_at = self._log_at = float("-inf")

    def is_dense(self, count: int) -> bool:
        """Whether so many connections leave few places."""
        return count > self.most - self._free

    def thin(self, members: Collection[Member], count: int) -> None:
        """Let as many give way as it takes, if that was not just tried.

        Args:
            members: the connections.
            count: how many there are, those on their way in included.
        """
        now = self._now()
        if now < self._look_at:
            return
        self._look_at = now + max(LOOK_SECONDS, len(members) / CONNECTIONS_A_SECOND)
        leaving = self._leaving(members, now)[: count - (self.most - self._free)]
        for member in leaving:
            member.give_way()
        if leaving and now >= self._log_at:
            self._log_at = now + QUIET_SECONDS
            log.warning("connections are scarce: closed %d whose clients kept them waiting", len(leaving))

    def _leaving(self, members: Iterable[Member], now: float) -> list[Member]:
        """Those that may give way; first those of the network that has most, and that wait longest."""
        networks = {member: network_key(member.peer) for member in members if not self._trusts(member.peer)}
        sizes = Counter(networks.values())
        found: list[tuple[int, float, Member]] = []
        for member, network in networks.items():
            since = self._gives_way_since(member, now, has_more=sizes[network] > self._share)
            if since is not None:
                found.append((-sizes[network], since, member))
        return [member for _, _, member in sorted(found, key=lambda entry: entry[:2])]

    def _gives_way_since(self, member: Member, now: float, *, has_more: bool) -> float | None:
        """Since when a client keeps the server waiting; None where it may stay."""
        if member.waiting is not None:
            kind, since = member.waiting
            if now - since >= (kind.short_seconds if has_more else kind.usual_seconds):
                return since
        if has_more and member.body is not None:
            received, since = member.body
            if now - since >= max(SLOW_AFTER_SECONDS, received / BYTES_A_SECOND):
                return since
        return None
