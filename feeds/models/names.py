"""Limits and validators of feed names and subject DNs."""

import re

from django.conf import settings
from django.core.exceptions import ValidationError

from feeds.rules.dn import BadDistinguishedName, parse_dn
from feeds.rules.facts import TOKEN_SUBJECT
from portal.http.bearer import SENDER_NAME

FEED_NAME_LENGTH = 255
#: Labels of a feed, and characters of each.
MAX_LABELS, MAX_LABEL = 50, 100


def validate_feed_name(name: str) -> None:
    """Refuse a name outside the configured pattern, in words an administrator can act on."""
    pattern = settings.ENVIRONMENT.feed_name_pattern
    # What no request can name (arguments are trimmed and cleaned) is refused whatever the pattern says.
    if not re.search(pattern, name) or not name.isprintable() or name != name.strip():
        raise ValidationError(
            "A feed name matches %(pattern)s: by default capital letters, digits, _ and -, at least three.",
            code="feed_name",
            params={"pattern": pattern},
        )


def validate_rule_dn(text: str) -> None:
    """Refuse a DN, or the name of a sender token, that could never match."""
    if text.startswith(TOKEN_SUBJECT):
        if not SENDER_NAME.fullmatch(text.removeprefix(TOKEN_SUBJECT)):
            raise ValidationError(
                "No sender token is called so: its name is of letters, digits, dot, hyphen and underscore.",
                code="token",
            )
        return
    try:
        parse_dn(text)
    except BadDistinguishedName as fault:
        raise ValidationError(
            "This is not a distinguished name: %(fault)s. Write it as CN=client-a,OU=Test,O=Example,C=GB.",
            code="dn",
            params={"fault": fault},
        ) from fault
