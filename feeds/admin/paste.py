"""The paste box of the feed page: a certificate or a DN becomes one more row of the rules table, not yet saved."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.html import format_html

from feeds.admin.forms import ReadingFeedForm
from feeds.changes.permissions import may_manage_certificates
from feeds.models import CertificateRule
from feeds.rules.pasted import PastedCertificate, UnreadableCertificate, read_pasted

READ = "_read_certificate"
PREFIX = "certificate_rules"
MAX_ROWS = 1000


def is_reading(request: HttpRequest) -> bool:
    """Return whether the button next to the paste box was pressed, by a user who may add rules."""
    return request.method == "POST" and READ in request.POST and may_manage_certificates(request.user)


class PasteMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Reads the pasted text on the server, so that it works without script; nothing is saved by it."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  # Django's signature
        if is_reading(request):
            kwargs["form"] = ReadingFeedForm
        return super().get_form(request, obj, change=change, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not is_reading(request):
            return super().changeform_view(request, *args, **kwargs)
        posted = request.POST.copy()
        reading = _read(posted)
        _tell(request, reading)
        request.POST = posted  # type: ignore[assignment]  # only the stubs want it immutable
        response = super().changeform_view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            # Nothing was wrong: the form only was not to be saved.
            response.context_data.update(errors=[], reading=reading)
        return response


def _read(posted: QueryDict) -> dict[str, Any]:
    """Understand the pasted text and add a row for it; return what to show."""
    text = posted.get("paste_certificate", "")
    try:
        pasted = read_pasted(text)
    except UnreadableCertificate as fault:
        return {"text": text, "fault": str(fault)}
    row = _add_row(posted, pasted)
    return {"pasted": pasted, "parts": [part for group in pasted.dn.parts for part in group], "row": row}


def _tell(request: HttpRequest, reading: dict[str, Any]) -> None:
    """Show the result at the top of the page: the row and the box are far below."""
    if "fault" in reading:
        messages.error(request, f"The pasted text is neither a PEM certificate nor a DN: {reading['fault']}.")
    elif reading["row"] is None:
        messages.error(request, f"A feed has at most {MAX_ROWS} certificate rules: no row was added.")
    else:
        link = format_html('<a href="#{}-{}">new row</a>', PREFIX, reading["row"])
        messages.success(request, format_html("The pasted text is a {} of the rules. Save to keep it.", link))


def _add_row(posted: QueryDict, pasted: PastedCertificate) -> int | None:
    """Add a row for it and return its number; None where there are too many."""
    total = posted.get(f"{PREFIX}-TOTAL_FORMS", "0")
    row = int(total) if total.isascii() and total.isdigit() and len(total) < 6 else 0
    if row >= MAX_ROWS:
        return None
    action = posted.get("paste_action", "")
    posted[f"{PREFIX}-TOTAL_FORMS"] = str(row + 1)
    posted[f"{PREFIX}-{row}-action"] = action if action in CertificateRule.Action.values else "allow"
    posted[f"{PREFIX}-{row}-subject_dn"] = pasted.subject
    posted[f"{PREFIX}-{row}-expires"] = f"{pasted.expires:%Y-%m-%d %H:%M:%S}" if pasted.expires else ""
    posted[f"{PREFIX}-{row}-comment"] = ""
    posted[f"{PREFIX}-{row}-id"] = ""
    return row
