"""One client address and one network key, whoever asks for them."""

import ast
import ipaddress
from pathlib import Path

import pytest

from portal.environment import BASE_DIR
from portal.http.client import TrustedProxies, client_address, is_loopback, network_key

PROXIES = TrustedProxies((ipaddress.ip_network("10.0.0.0/8"),))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # no proxy of ours: its header means nothing
        ("10.0.0.1", [], "10.0.0.1"),  # a trusted machine that asks for itself
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["10.9.9.9, 198.51.100.7"], "198.51.100.7"),  # the client's own claim is left of it
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [" , ,"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["x" * 500], "x" * 128),
        ("", ["198.51.100.7"], ""),
        (None, [], ""),
    ],
)
def test_the_client_is_the_first_hop_from_the_right_that_is_no_proxy_of_ours(
    peer: str | None, forwarded: list[str], address: str
) -> None:
    assert client_address(peer, forwarded, PROXIES.trusts) == address


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
        ("x" * 500, "x" * 128),
    ],
)
def test_limits_count_an_ipv4_address_or_a_network_of_ipv6(address: str, key: str) -> None:
    assert network_key(address) == key


def test_loopback_is_known_in_all_its_forms() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(address) for address in ("", "localhost", "192.0.2.1", "::ffff:192.0.2.1"))


def test_nothing_else_parses_addresses_of_clients() -> None:
    """The copies of these functions had begun to differ: IPv4-mapped addresses, and hops that are all trusted."""
    of_no_client = {"portal/setting_values.py", "portal/injected.py", "portal/server/sockets.py"}
    allowed = {"portal/http/client.py", *of_no_client}
    parsing = {
        str(path.relative_to(BASE_DIR))
        for package in ("portal", "feeds", "codes")
        for path in Path(BASE_DIR / package).rglob("*.py")
        if "ipaddress" in imports_of(path)
    }
    assert parsing == allowed


def imports_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
