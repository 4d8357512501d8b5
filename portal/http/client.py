"""The client of a request: which peers are trusted, the client's address, and the network that limits count."""

import ipaddress
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Longer than any address with a zone; what a proxy wrote into a header may be anything.
MAX_ADDRESS = 128


@dataclass(frozen=True)
class TrustedProxies:
    """Peers whose identity headers are trusted. Empty: none (contract section 9)."""

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def trusts(self, peer: str | None) -> bool:
        """Return whether `peer`, the address at the other end of our connection, is on the list.

        An empty or absent address is a Unix socket, trusted only where `unix` was listed.
        """
        if not peer:
            return self.unix
        return is_in(peer, self.networks)

    def caller(self, peer: str, forwarded: str) -> str:
        """Return the client's address, see `client_address`."""
        return client_address(peer, [forwarded], self.trusts)


@dataclass(frozen=True)
class IdentityNames:
    """Lower-case names of the headers in which a trusted proxy describes the client certificate.

    Where `dn` has several, each must be present with the same value: a proxy that sets one of them alone would let
    clients set the others (S38).
    """

    dn: tuple[str, ...] = ("x-ssl-client-s-dn",)
    verify: str = "x-ssl-client-verify"
    expiry: str = "x-ssl-client-v-end"
    #: In which a proxy names a user whom it has signed in; empty for none. It says nothing of a delivery.
    signin: str = ""
    #: In which the whole certificate comes; empty for none. It then has to be there as the names of `dn` have.
    certificate: str = ""
    #: Whose presence says that the certificate was passed on without verification.
    unverified: str = ""
    #: How the proxy writes the values; `feeds.rules.dialects` reads them. Empty names: it does not state this.
    dialect: str = "nginx"

    @property
    def stated(self) -> tuple[str, ...]:
        """Names of the headers that describe the certificate."""
        names = (*self.dn, self.verify, self.expiry, self.certificate, self.unverified)
        return tuple(name for name in names if name)

    def includes(self, name: str) -> bool:
        return name in self.stated


#: Header names of each proxy, as its documentation or the usual examples have them.
DIALECTS = {
    "nginx": IdentityNames(),
    "apache": IdentityNames(dialect="apache"),
    "haproxy": IdentityNames(dn=("x-ssl-client-dn",), expiry="x-ssl-client-not-after", dialect="haproxy"),
    "envoy": IdentityNames(dn=("x-forwarded-client-cert",), verify="", expiry="", dialect="envoy"),
    "traefik": IdentityNames(dn=("x-forwarded-tls-client-cert-info",), verify="", expiry="", dialect="traefik"),
    "aws-alb": IdentityNames(
        dn=("x-amzn-mtls-clientcert-subject",),
        verify="",
        expiry="x-amzn-mtls-clientcert-validity",
        unverified="x-amzn-mtls-clientcert",
        dialect="aws-alb",
    ),
}


def client_address(peer: str | None, forwarded: Iterable[str], trusts: Callable[[str | None], bool]) -> str:
    """Return the client's address: the first hop, from the right, that is not a trusted proxy.

    Where every hop is trusted, the oldest counts, and without any hop the peer itself: a trusted machine may be a
    client too. A peer that is not trusted is the client, whatever its headers say.

    Args:
        peer: the address at the other end of our connection; empty for a Unix socket.
        forwarded: values of X-Forwarded-For, in their order.
        trusts: says whether an address belongs to a trusted proxy.
    """
    if not trusts(peer):
        return peer or ""
    hops = [hop for value in forwarded for part in value.split(",") if (hop := part.strip())]
    found = next((hop for hop in reversed(hops) if not trusts(hop)), None)
    if found is None:
        found = hops[0] if hops else peer or ""
    return found[:MAX_ADDRESS]


def network_key(address: str) -> str:
    """Return the network of an address for limits: the address itself for IPv4, its /64 for IPv6.

    A socket that listens on both families shows IPv4 clients as IPv6 ones; they are not neighbours.
    """
    parsed = parse_address(address)
    if parsed is None:
        return address[:MAX_ADDRESS]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of the networks, in its IPv4 or IPv6 form."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    forms: tuple[Address, ...] = (parsed, mapped) if mapped else (parsed,)
    return any(form in network for form in forms for network in networks)


def is_loopback(address: str) -> bool:
    """Return whether an address is a loopback address."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def read_networks(words: Iterable[str]) -> list[str]:
    """Return networks in their usual form; an address alone is a network of one.

    Raises:
        ValueError: a word is no network.
    """
    return list(dict.fromkeys(str(ipaddress.ip_network(word.strip(), strict=False)) for word in words))


def parse_network(text: str) -> Network:
    """Return a network; an address alone is a network of one.

    Raises:
        ValueError: the text is no network, or its address has bits behind the prefix.
    """
    return ipaddress.ip_network(text)


def is_within(address: str, networks: Collection[str]) -> bool:
    """Return whether an address is in one of some networks, or there are none. No address is in any."""
    if not networks:
        return True
    parsed = parse_address(address)
    return parsed is not None and any(parsed in ipaddress.ip_network(network) for network in networks)


def is_part(network: str, networks: Collection[str]) -> bool:
    """Return whether a network lies within one of others, or there are none."""
    inner = ipaddress.ip_network(network)
    outer = [ipaddress.ip_network(one) for one in networks]
    return not outer or any(inner.version == one.version and inner.subnet_of(one) for one in outer)  # type: ignore[arg-type]  # of one version


def parse_address(address: str) -> Address | None:
    """Return an address without its zone, and an IPv4-mapped one as IPv4; None if the text is not an address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
