"""The part of the search that finds audit records."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.urls import reverse

from portal.models import AuditRecord
from portal.search import MOST_SHOWN, Finder, SearchHit


def find_records(text: str) -> Sequence[SearchHit]:
    """Return the latest audit records of a request."""
    records = AuditRecord.objects.filter(request_id=text).order_by("-number")[: MOST_SHOWN + 1]
    return [
        SearchHit(
            f"{record.action} {record.kind} {record.name}",
            reverse("admin:portal_auditrecord_change", args=[record.pk]),
            f"by {record.actor or 'the portal'}, {record.at[:16].replace('T', ' ')} UTC",
        )
        for record in records
    ]


def _list(text: str) -> str:
    return f"{reverse('admin:portal_auditrecord_changelist')}?{urlencode({'q': text})}"


RECORDS = Finder("Audit records", "request id", find_records, ("portal.view_auditrecord",), 4, _list)
