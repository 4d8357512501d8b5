"""Rows of the rules table that are filled in but not saved: by the paste box, and by the address of a remedy."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.html import format_html

from feeds.admin.display import visible
from feeds.admin.forms import ReadingFeedForm
from feeds.changes.apply import WRITABLE, RuleValues
from feeds.changes.permissions import is_guarded, may_manage_certificates
from feeds.models import CertificateRule, Feed
from feeds.rules.pasted import PastedCertificate, UnreadableCertificate, read_pasted

READ = "_read_certificate"
PREFIX = "certificate_rules"
MAX_ROWS = 1000


def is_reading(request: HttpRequest) -> bool:
    """Return whether the button next to the paste box was pressed, by a user who may add rules."""
    return request.method == "POST" and READ in request.POST and may_manage_certificates(request.user)


#: Parameters of the address: a DN for a new allow rule, the key of a rule, the name of a field of the feed.
ALLOW, RULE, FOCUS = "allow", "rule", "focus"
#: Parameter of the form for a new feed: the key of the feed whose values and rules it starts with.
COPY = "copy"
MAX_DN = 2000


class PrefillMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Opens the feed's form with what the address asks for filled in and focused; without script too."""

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if rows := wanted_rows(request):
            kwargs["initial"] = rows
        return kwargs

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        original = cloned(request)
        if original is None:
            return super().get_changeform_initial_data(request)
        fixed = () if may_manage_certificates(request.user) else ("certificate_policy",)
        return {name: getattr(original, name) for name in WRITABLE if name not in fixed}

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if original := cloned(request):
            context["title"] = f"Clone {original.name}"
            context["adminform"].form.fields["name"].widget.attrs["autofocus"] = True
            tell_of_clone(request, original)
        if request.method == "GET" and context.get("original") is not None:
            self._focus(request, context)
        return super().render_change_form(request, context, *args, **kwargs)

    def _focus(self, request: HttpRequest, context: dict[str, Any]) -> None:
        form = context["adminform"].form
        if request.GET.get(FOCUS) in form.fields:
            form.fields[request.GET[FOCUS]].widget.attrs["autofocus"] = True
        formset = next((inline.formset for inline in context["inline_admin_formsets"]), None)
        if formset is None:
            return
        rows = list(formset.forms)
        wanted, key = wanted_dn(request), request.GET.get(RULE, "")
        if wanted and len(rows) > formset.initial_form_count():
            _focus_row(context, rows, formset.initial_form_count(), "subject_dn")
            messages.info(request, f"An allow rule for {visible(wanted)} is filled in below. Save to keep it.")
        place = next((place for place, row in enumerate(rows) if key and str(row.instance.pk) == key), None)
        if place is not None and may_manage_certificates(request.user):
            _focus_row(context, rows, place, "expires" if rows[place].instance.expires else "action")


def tell_of_clone(request: HttpRequest, original: Feed) -> None:
    """Say what a clone starts with; without the right to manage certificates that is not the guard."""
    if is_guarded(original) and not may_manage_certificates(request.user):
        messages.warning(
            request,
            f"The clone has neither the certificate policy nor the rules of {original.name}: "
            "every sender is accepted until a certificate officer adds them.",
        )
    else:
        messages.info(request, f"Filled in from {original.name}. Give the clone a name of its own.")


def _focus_row(context: dict[str, Any], rows: Sequence[Any], place: int, field: str) -> None:
    rows[place].fields[field].widget.attrs["autofocus"] = True
    context["reading"] = {"row": place}


def wanted_rows(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the new rows that the address asks for: one for a DN, or those of the feed that is cloned."""
    if wanted := wanted_dn(request):
        return [{"action": CertificateRule.Action.ALLOW, "subject_dn": wanted}]
    original = cloned(request)
    if original is None or not may_manage_certificates(request.user):
        return []
    return [vars(RuleValues.of(rule)) for rule in original.certificate_rules.all()]


def cloned(request: HttpRequest) -> Feed | None:
    """Return the feed that the address of the form for a new feed asks to clone."""
    key = request.GET.get(COPY, "") if request.method == "GET" else ""
    if not (key.isascii() and key.isdigit() and len(key) < 19 and request.user.has_perm("feeds.view_feed")):
        return None
    if not hasattr(request, "cloned_feed"):
        found = Feed.objects.filter(pk=key).prefetch_related("certificate_rules").first()
        request.cloned_feed = found  # type: ignore[attr-defined]  # asked for several times
    feed: Feed | None = request.cloned_feed  # type: ignore[attr-defined]
    return feed


def wanted_dn(request: HttpRequest) -> str:
    """Return the DN for which the address asks an allow rule, of users who may add rules."""
    if request.method != "GET" or not may_manage_certificates(request.user):
        return ""
    return request.GET.get(ALLOW, "")[:MAX_DN]


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
