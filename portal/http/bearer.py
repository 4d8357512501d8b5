"""Bearer tokens in requests: the header, and the names that tokens of senders have. Pure."""

import re

#: Names of tokens for sending: rules, receipts and the metadata of deliveries hold them.
SENDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def bearer_secret(authorization: str | None) -> str | None:
    """The secret of an `Authorization: Bearer …` header, None when it is none (RFC 6750 section 2.1)."""
    scheme, _, secret = (authorization or "").strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" and secret.strip() else None
