"""Import and export of feeds: upload, look at every difference, say why, confirm; and three kinds of file out."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from feeds.admin.forms import CommentField
from feeds.admin.history_pages import DiffLine, diff_lines
from feeds.changes.approval import Proposed, TooMuch
from feeds.changes.approval_watch import is_on
from feeds.changes.files import read_file
from feeds.changes.files_out import export_name, write_csv, write_json, write_zip
from feeds.changes.import_plan import ImportPlan, ImportRefused, PlannedRow, apply_import, plan_import
from feeds.changes.import_rows import MAX_FILE, UnreadableFile
from feeds.models import Feed, PendingImport
from portal.text import counted

KEPT = timedelta(days=1)
#: Session key of the results of the imports that were confirmed last, and their number.
DONE, MOST_DONE = "imports_done", 20
SHOWN_ROWS = 500
WRITERS: dict[str, tuple[str, Callable[[Iterable[Feed]], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", write_csv),
    "json": ("application/json", write_json),
    "zip": ("application/zip", write_zip),
}


class UploadForm(forms.Form):
    """A file of feeds."""

    file = forms.FileField(
        label="File",
        help_text="A Stroom export (ZIP), a FeedDoc (JSON), or what was exported here (CSV or JSON). Up to 8 MiB.",
    )

    def clean_file(self) -> Any:
        upload = self.cleaned_data["file"]
        if upload.size > MAX_FILE:
            raise forms.ValidationError(f"The file is larger than {MAX_FILE // 1024 // 1024} MiB.")
        content = upload.read()
        try:
            read_file(content)
        except UnreadableFile as fault:
            raise forms.ValidationError(
                "This file cannot be imported: %(fault)s.", params={"fault": fault}
            ) from fault
        self.content: bytes = content
        return upload


class ConfirmForm(forms.Form):
    """One comment for all, and which plan was seen."""

    digest = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["change_comment"] = CommentField()


@dataclass(frozen=True)
class ShownRow:
    """A planned row as the preview shows it."""

    planned: PlannedRow
    lines: list[DiffLine]


class TransferMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds import and export to the admin of feeds."""

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Take a file and keep it for the preview."""
        self._require_import(request)
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            PendingImport.objects.filter(created__lt=datetime.now(UTC) - KEPT).delete()
            pending = PendingImport.objects.create(
                user=cast(User, request.user), filename=form.cleaned_data["file"].name[:255], content=form.content
            )
            return HttpResponseRedirect(reverse("admin:feeds_feed_import_confirm", args=[pending.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": "Import feeds",
            "opts": self.opts,
            "form": form,
        }
        return TemplateResponse(request, "admin/feeds/feed/import.html", context)

    def confirm_view(self, request: HttpRequest, key: uuid.UUID) -> HttpResponse:
        """Show every difference; write them when they are confirmed."""
        self._require_import(request)
        pending = PendingImport.objects.filter(pk=key, user=cast(User, request.user)).first()
        if pending is None:
            return self._already_done(request, key)
        file = read_file(bytes(pending.content))
        form = ConfirmForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            cleaned = form.cleaned_data
            try:
                plan = apply_import(file, request.user, comment=cleaned["change_comment"], digest=cleaned["digest"])
            except (ImportRefused, TooMuch) as refusal:
                form.add_error(None, str(refusal))
            except Proposed:
                _note_done(request, pending, "it waits for a second person’s approval")
                raise
            else:
                counts = plan.counts
                outcome = f"{counted(counts['create'], 'feed')} created, {counts['change']} changed"
                _note_done(request, pending, outcome)
                messages.success(request, f"{outcome}.")
                return HttpResponseRedirect(reverse("admin:feeds_feed_changelist"))
        return self._preview(request, pending, plan_import(file, request.user), form)

    def _already_done(self, request: HttpRequest, key: uuid.UUID) -> HttpResponse:
        """Report the result to a user who confirms a second time or comes back to the preview."""
        for done, filename, outcome in request.session.get(DONE, ()):
            if done == str(key):
                notice = (
                    f"The import of {filename} was confirmed before: {outcome}. Nothing was done a second time."
                )
                messages.info(request, notice)
                return HttpResponseRedirect(reverse("admin:feeds_feed_changelist"))
        raise Http404("No such upload.")

    def _preview(
        self, request: HttpRequest, pending: PendingImport, plan: ImportPlan, form: ConfirmForm
    ) -> HttpResponse:
        order = {"fault": 0, "change": 1, "create": 2, "same": 3}
        rows = sorted(plan.rows, key=lambda row: order[row.action])
        context = {
            **self.admin_site.each_context(request),
            "title": "Import feeds",
            "opts": self.opts,
            "pending": pending,
            "plan": plan,
            "counts": {action: plan.counts[action] for action in order},
            "rows": [ShownRow(row, diff_lines(row.changes)) for row in rows[:SHOWN_ROWS]],
            "more": max(0, len(rows) - SHOWN_ROWS),
            "left_out": plan.left_out[:SHOWN_ROWS],
            "more_left_out": max(0, len(plan.left_out) - SHOWN_ROWS),
            "form": form,
            "digest": plan.digest,
            "second_approval": is_on(),
        }
        return TemplateResponse(request, "admin/feeds/feed/import_preview.html", context)

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Return the feeds that the list's search and filters select, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if kind not in WRITERS:
            raise Http404("No such kind of file.")
        content_type, write = WRITERS[kind]
        try:
            chosen = self.get_changelist_instance(request).get_queryset(request).values("pk")
        except IncorrectLookupParameters:
            # Never the whole list in place of a choice that was not understood: the list says what was wrong.
            return HttpResponseRedirect(f"{reverse('admin:feeds_feed_changelist')}?{ERROR_FLAG}=1")
        feeds = Feed.objects.filter(pk__in=chosen).prefetch_related("certificate_rules").order_by("name")
        name = export_name(kind, datetime.now(UTC))
        return HttpResponse(
            write(feeds),
            content_type=content_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _require_import(self, request: HttpRequest) -> None:
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied


def _note_done(request: HttpRequest, pending: PendingImport, outcome: str) -> None:
    """Keep what was done in place of the file."""
    noted = [str(pending.pk), pending.filename, outcome]
    request.session[DONE] = [*request.session.get(DONE, ()), noted][-MOST_DONE:]
    pending.delete()
