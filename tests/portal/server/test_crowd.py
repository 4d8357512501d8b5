"""Which connections give way where there are too many (S34)."""

from dataclasses import dataclass, field

from portal.server.crowd import BYTES_A_SECOND, LOOK_SECONDS, SLOW_AFTER_SECONDS, Crowd, Waiting

NOW = 1000.0


@dataclass(eq=False)
class Connection:
    peer: str
    waiting: tuple[Waiting, float] | None = None
    body: tuple[int, float] | None = None
    closed: list[bool] = field(default_factory=list)

    def give_way(self) -> None:
        self.closed.append(True)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def waiting(peer: str, kind: Waiting, seconds: float) -> Connection:
    return Connection(peer, waiting=(kind, NOW - seconds))


def thinned(members: list[Connection], most: int = 16, trusted: str = "") -> list[Connection]:
    crowd = Crowd(most, trusts=lambda peer: peer == trusted, now=Clock())
    crowd.thin(members, len(members))
    return [member for member in members if member.closed]


def test_s34_only_a_dense_crowd_is_thinned() -> None:
    crowd = Crowd(16, now=Clock())
    assert [crowd.is_dense(count) for count in (13, 14, 15, 16)] == [False, False, True, True]


def test_s34_no_connection_closes_while_it_is_our_turn_or_its_client_is_at_work() -> None:
    members = [Connection(f"192.0.2.{n}") for n in range(8)]
    members += [waiting(f"192.0.2.{n}", kind, kind.usual_seconds / 2) for n, kind in enumerate([*Waiting] * 2)]
    assert thinned(members) == []


def test_s34_those_that_wait_longest_close_and_no_more_than_it_takes() -> None:
    members = [waiting(f"192.0.2.{n}", Waiting.REQUEST, 10 + n) for n in range(16)]
    assert thinned(members) == members[-2:]


def test_s34_a_network_with_more_than_its_share_gives_way_first_and_sooner() -> None:
    many = [waiting("192.0.2.1", Waiting.REQUEST, 0.3) for _ in range(12)]
    few = [waiting(f"198.51.100.{n}", Waiting.REQUEST, 60) for n in range(4)]
    assert thinned([*few, *many]) == many[:2]


def test_s34_slow_bodies_of_a_network_with_more_than_its_share_give_way_where_nothing_else_does() -> None:
    """Each moves often enough to be at work; together they held every place, also against /livez."""
    began = NOW - 2 * SLOW_AFTER_SECONDS
    slow = [Connection("192.0.2.1", body=(BYTES_A_SECOND, began)) for _ in range(9)]
    fast = [Connection("192.0.2.1", body=(10 * BYTES_A_SECOND, began)) for _ in range(5)]
    others = [Connection("198.51.100.1", body=(1, began)) for _ in range(2)]
    assert thinned([*others, *fast, *slow]) == slow[:2]
    assert thinned([*others, *fast]) == []


def test_s34_addresses_of_one_ipv6_network_are_one() -> None:
    many = [waiting(f"2001:db8::{n:x}", Waiting.BODY, 0.6) for n in range(16)]
    assert len(thinned(many)) == 2


def test_s34_connections_of_a_trusted_proxy_stay() -> None:
    members = [waiting("10.0.0.1", Waiting.REQUEST, 60) for _ in range(16)]
    assert thinned(members, trusted="10.0.0.1") == []


def test_s34_a_crowd_is_not_looked_through_for_every_newcomer() -> None:
    clock = Clock()
    crowd = Crowd(16, now=clock)
    first = [waiting("192.0.2.1", Waiting.REQUEST, 60) for _ in range(16)]
    crowd.thin(first, 16)
    second = [waiting("192.0.2.1", Waiting.REQUEST, 60) for _ in range(16)]
    crowd.thin(second, 16)
    assert not any(member.closed for member in second)
    clock.now += LOOK_SECONDS
    crowd.thin(second, 16)
    assert sum(bool(member.closed) for member in second) == 2
