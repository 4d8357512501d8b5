"""Facts of a decision: the policy of a feed, and the identities that a sender shows.

Pure and frozen. `feeds.rules.decision` gives these names to everybody else.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from feeds.rules.dn import DistinguishedName, rule_matches
from feeds.rules.receipt_rules import NO_RULES, RuleSet

#: What the subject of a rule about sender tokens begins with; the token's name follows. No DN begins so.
TOKEN_SUBJECT = "token:"  # noqa: S105  # a word, no secret


class FeedStatus(StrEnum):
    """Action of a feed on data that passes every check. The spelling is Stroom's, on the wire too."""

    RECEIVE = "Receive"
    REJECT = "Reject"
    DROP = "Drop"


class CertificatePolicy(StrEnum):
    """Treatment of client certificates by a feed."""

    NONE = "none"
    REQUIRED = "required"
    RESTRICTED = "restricted"


class RuleAction(StrEnum):
    """Action of a certificate rule on the certificates that it matches. Deny beats allow."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True)
class CertificateRuleSnapshot:
    """One certificate rule as it stood when the policy was read. `expires` is an instant in UTC, or None.

    `subject_dn` is a DN, or `token:` and the name of a sender token. A rule with `everywhere` belongs to no feed:
    it is a deny rule that holds for every feed, whatever its policy.
    """

    action: RuleAction
    subject_dn: str
    expires: datetime | None = None
    everywhere: bool = False

    def in_force(self, now: datetime) -> bool:
        """Return whether the rule has expired; it has from its instant on."""
        return self.expires is None or now < self.expires

    def matches(self, dn: DistinguishedName | None, token_name: str) -> bool:
        """Return whether the rule is about one of these identities, each verified; None and empty for none."""
        if self.subject_dn.startswith(TOKEN_SUBJECT):
            return bool(token_name) and self.subject_dn.removeprefix(TOKEN_SUBJECT) == token_name
        return dn is not None and rule_matches(self.subject_dn, dn)


@dataclass(frozen=True)
class FeedPolicy:
    """Everything of a feed that a decision needs. `version` is the row version that decided."""

    name: str
    status: FeedStatus = FeedStatus.RECEIVE
    certificate_policy: CertificatePolicy = CertificatePolicy.NONE
    rules: tuple[CertificateRuleSnapshot, ...] = ()
    version: int = 0
    receipt_rules: RuleSet = NO_RULES


@dataclass(frozen=True)
class Certificate:
    """The sender's client certificate, as far as it is known.

    `fault` says in plain words why a presented certificate is not verified, or why a reported one does not even
    count as presented; it is empty for a verified one.
    `text` is the DN as received.
    """

    presented: bool = False
    verified: bool = False
    text: str = ""
    dn: DistinguishedName | None = None
    expires: datetime | None = None
    fault: str = ""

    @property
    def verified_dn(self) -> str | None:
        """The DN as received, or None where it must not be believed."""
        return self.text if self.verified else None


NO_CERTIFICATE = Certificate()


@dataclass(frozen=True)
class SenderToken:
    """The sender's token, as far as it is known.

    `name` is that of a valid token, and empty for every other; `fault` says in plain words why one that was
    presented is not valid. `rate` is the number of deliveries a minute that tokens of this name may send, None for
    no limit.
    """

    name: str = ""
    fault: str = ""
    rate: int | None = None

    @property
    def presented(self) -> bool:
        return bool(self.name or self.fault)

    @property
    def subject(self) -> str:
        """Subject of rules about a valid token, and the user id in the metadata of its deliveries."""
        return f"{TOKEN_SUBJECT}{self.name}"


NO_TOKEN = SenderToken()
