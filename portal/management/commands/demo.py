"""Fill a running portal with sample feeds, rules and deliveries, through its real HTTP interface."""

import gzip
import io
import json
import random
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.models import ApiToken
from portal.text import counted

ALLOWED = {
    "action": "allow",
    "subject_dn": "CN=payroll-sender,OU=Finance,O=Example,C=GB",
    "comment": "payroll host",
}
EXPIRING = {
    "action": "allow",
    "subject_dn": "CN=payroll-standby,OU=Finance,O=Example,C=GB",
    "comment": "until the move",
}
DENIED = {"action": "deny", "subject_dn": "CN=old-laptop,OU=Finance,O=Example,C=GB", "comment": "key lost"}

FEEDS: tuple[dict[str, Any], ...] = (
    {
        "name": "PAYROLL-PROD-EVENTS-V1",
        "description": "Pay runs and approvals.",
        "owner": "Finance systems",
        "certificate_policy": "restricted",
        "certificate_rules": [ALLOWED, EXPIRING, DENIED],
    },
    {"name": "WEB-ACCESS-EVENTS", "description": "Access logs of the public web servers.", "owner": "Web team"},
    {"name": "DNS-QUERIES", "description": "Resolver query logs.", "owner": "Network team"},
    {"name": "BADGE-READERS", "description": "Door openings.", "owner": "Facilities"},
    {
        "name": "VPN-SESSIONS",
        "description": "Sign-ins to the VPN; any verified certificate.",
        "owner": "Network team",
        "certificate_policy": "required",
    },
    {
        "name": "LEGACY-MAINFRAME",
        "description": "Switched off in spring.",
        "owner": "Operations",
        "status": "Reject",
    },
    {
        "name": "NOISY-TEST-RIG",
        "description": "Load tests: taken and thrown away.",
        "owner": "QA",
        "status": "Drop",
    },
    {"name": "REFERENCE-HOSTS", "description": "Host inventory.", "owner": "Operations", "reference": True},
)
#: Matches some of the deliveries; it is only counted.
SHADOW_RULE = {
    "name": "plain text from test systems",
    "action": "Reject",
    "conditions": [{"field": "Feed", "operator": "wildcard", "values": ["WEB-*"]}],
    "shadow": True,
}


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        environment = settings.ENVIRONMENT
        parser.add_argument("--url", default=f"http://{environment.host}:{environment.port}", help="where it runs")
        parser.add_argument("--deliveries", type=int, default=200, help="how many to send")

    def handle(self, *args: Any, url: str, deliveries: int, **options: Any) -> None:
        user = get_user_model().objects.filter(is_superuser=True, is_active=True).first()
        if user is None:
            raise CommandError("There is no administrator yet: start the portal once with `make run`.")
        token, secret = ApiToken.objects.issue(
            user, name="make demo", scopes=["read", "write"], expires=timezone.now() + timedelta(minutes=15)
        )
        try:
            self._feeds(url, secret)
            self._rules(url, secret)
            outcomes = Counter(self._send(url, deliveries))
        except OSError as fault:
            raise CommandError(f"No portal answers at {url} ({fault}). Start it with `make run` first.") from fault
        finally:
            token.delete()
        self.stdout.write(
            f"{len(FEEDS)} feeds are in place. {counted(deliveries, 'delivery was', 'deliveries were')} answered:"
        )
        for (status, stroom), count in sorted(outcomes.items()):
            self.stdout.write(f"  HTTP {status}, Stroom-Status {stroom}: {count}")
        self.stdout.write(f"Look at {url}/admin/ and {url}/codes/stroom/110/")

    def _feeds(self, url: str, secret: str) -> None:
        for feed in FEEDS:
            body = dict(feed)
            if "certificate_rules" in body:
                soon = (timezone.now() + timedelta(days=12)).isoformat()
                body["certificate_rules"] = [
                    {**rule, "expires": soon} if rule is EXPIRING else rule for rule in body["certificate_rules"]
                ]
            status, _, answer = _call(
                f"{url}/api/v1/feeds/{feed['name']}/",
                method="PUT",
                data=json.dumps({**body, "comment": "sample data"}).encode(),
                headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
            )
            if status not in {200, 201, 202}:  # with a second approval, guarded feeds wait for an officer
                raise CommandError(f"The feed {feed['name']} was refused with {status}: {answer.decode()[:500]}")

    def _rules(self, url: str, secret: str) -> None:
        """Make a receipt rule in shadow, unless there are rules."""
        address, headers = f"{url}/api/v1/receipt-rules/", {"Authorization": f"Bearer {secret}"}
        status, _, found = _call(address, method="GET", data=b"", headers=headers)
        if status != 200 or json.loads(found)["count"]:
            return
        body = json.dumps({**SHADOW_RULE, "comment": "sample data"}).encode()
        _call(address, method="POST", data=body, headers={**headers, "Content-Type": "application/json"})

    def _send(self, url: str, deliveries: int) -> Iterator[tuple[int, str]]:
        chance = random.Random(20260224)  # noqa: S311  # sample data, the same on each run
        for number in range(deliveries):
            headers, data = _delivery(chance, number)
            status, stroom, _ = _call(f"{url}/datafeed", method="POST", data=data, headers=headers)
            yield status, stroom


def _delivery(chance: random.Random, number: int) -> tuple[dict[str, str], bytes]:
    """Return one sample delivery: most are accepted, and each kind of refusal occurs."""
    lines = "".join(
        f"2026-02-24T18:10:{n % 60:02d}Z host{n % 7} event {number}.{n}\n" for n in range(1, 60)
    ).encode()
    feed = chance.choice(
        ["WEB-ACCESS-EVENTS"] * 6
        + ["DNS-QUERIES"] * 5
        + ["REFERENCE-HOSTS", "NOISY-TEST-RIG", "NOISY-TEST-RIG", "LEGACY-MAINFRAME", "VPN-SESSIONS"]
        + ["PAYROLL-PROD-EVENTS-V1", "WEB-ACESS-EVENTS"]
    )
    headers = {"Feed": feed, "System": "DEMO", "Environment": "TEST", "Content-Type": "application/octet-stream"}
    match chance.randrange(12):
        case 0:
            del headers["Feed"]
        case 1:
            headers["Compression"] = "RAR"
        case 2:
            headers["Compression"] = "GZIP"
            return headers, gzip.compress(lines)[:-9]
        case 3 | 4 | 5:
            headers["Compression"] = "GZIP"
            return headers, gzip.compress(lines)
        case 6:
            headers["Compression"] = "ZIP"
            return headers, _zip(lines)
    return headers, lines


def _zip(lines: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("001.meta", "Type:Raw Events\n")
        archive.writestr("001.dat", lines)
    return packed.getvalue()


def _call(url: str, *, method: str, data: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    """Return status, Stroom-Status and body of one request, also for an error status."""
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310  # our own portal
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.headers.get("Stroom-Status", ""), answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers.get("Stroom-Status", ""), refusal.read()
