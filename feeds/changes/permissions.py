"""Permissions on the guard of a feed (threat model, S30): one function for each question, used by admin and REST.

The certificate policy and rules of a feed belong to certificate officers. A user who can delete, or rename away,
a guarded feed could create it again without its guard, so both need a certificate officer too.
"""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from feeds.models import Feed

MANAGE_CERTIFICATES = "feeds.change_certificaterule"

AnyUser = AbstractBaseUser | AnonymousUser


def may_manage_certificates(user: AnyUser) -> bool:
    """Return whether the user may change certificate policies and rules."""
    return bool(user.has_perm(MANAGE_CERTIFICATES))  # type: ignore[union-attr]  # both kinds have it


def is_guarded(feed: Feed) -> bool:
    """Return whether the feed has a certificate policy or rules that deleting or renaming it would take away."""
    return feed.certificate_policy != Feed.Policy.NONE or feed.certificate_rules.exists()


def may_delete(user: AnyUser, feed: Feed) -> bool:
    """Return whether the user may delete this very feed."""
    allowed = bool(user.has_perm("feeds.delete_feed"))  # type: ignore[union-attr]
    return allowed and (may_manage_certificates(user) or not is_guarded(feed))


def may_rename(user: AnyUser, feed: Feed) -> bool:
    """Return whether the user may give this very feed another name."""
    allowed = bool(user.has_perm("feeds.change_feed"))  # type: ignore[union-attr]
    return allowed and (may_manage_certificates(user) or not is_guarded(feed))
