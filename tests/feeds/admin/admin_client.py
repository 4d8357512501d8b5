"""What the tests of the admin share: a signed-in browser, and what it posts from the feed page."""

from django.contrib.auth.models import Permission, User
from django.test import Client

DN = "CN=client-a,OU=Test,O=Example,C=GB"


def signed_in(*codenames: str, superuser: bool = False, username: str = "someone") -> Client:
    """A client whose user has exactly these permissions of the feeds app."""
    user = User.objects.create_user(username, password="x", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="feeds", codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def feed_form(**changes: str) -> dict[str, str]:
    """What the browser posts from the feed page, without rules."""
    return {
        "name": "PAYROLL-PROD",
        "status": "Receive",
        "certificate_policy": "none",
        "description": "",
        "owner": "",
        "classification": "",
        "labels": "",
        "stream_type": "Raw Events",
        "encoding": "UTF-8",
        "context_encoding": "UTF-8",
        "data_format": "",
        "schema": "",
        "schema_version": "",
        "change_comment": "",
        "certificate_rules-TOTAL_FORMS": "0",
        "certificate_rules-INITIAL_FORMS": "0",
        **changes,
    }


def one_rule(**changes: str) -> dict[str, str]:
    """One new row of the rules table."""
    row = {"action": "allow", "subject_dn": DN, "expires": "", "comment": "", "id": "", "feed": "", **changes}
    return {
        "certificate_rules-TOTAL_FORMS": "1",
        **{f"certificate_rules-0-{name}": value for name, value in row.items()},
    }
