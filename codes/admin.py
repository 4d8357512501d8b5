"""Admin of the catalogue: only the notes of this site are edited, all else comes from the files."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from codes.models import LocalNote, Meaning
from codes.notes import MAX_LENGTH, render_note

PER_PAGE = 50
ACTIONS = {"+": "created", "~": "changed", "-": "deleted"}


class MeaningField(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic only in the stubs
    """Meanings in the order of their numbers, each with its owner where a number has several."""

    def label_from_instance(self, obj: Any) -> str:
        return meaning_label(obj)


class LocalNoteForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """Form of a note, which stays with its meaning."""

    meaning = MeaningField(
        Meaning.objects.none(), help_text="The code, and where a number has several owners, whose meaning of it."
    )

    class Meta:
        model = LocalNote
        fields = ("meaning", "text")
        widgets = {"text": forms.Textarea(attrs={"rows": 12, "maxlength": MAX_LENGTH, "class": "vLargeTextField"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "meaning" in self.fields:
            field: Any = self.fields["meaning"]
            field.queryset = Meaning.objects.select_related("owner").in_page_order()


@dataclass(frozen=True)
class NoteChange:
    """One row of a note's history, with the lines that it changed."""

    row: Any
    action: str
    lines: tuple[tuple[str, str], ...]


@admin.register(LocalNote)
class LocalNoteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Notes of this site on codes."""

    form = LocalNoteForm
    list_display = ["code", "beginning", "updated"]
    list_filter = ["meaning__status_code__registry"]
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ["text", "meaning__name", "meaning__key"]
    search_help_text = "Searches the text, and the code's name and number as in http/404."
    list_select_related = ["meaning__owner"]
    readonly_fields = ["as_read", "created", "updated"]
    actions = None

    @admin.display(description="code", ordering="meaning__key")
    def code(self, note: LocalNote) -> str:
        return meaning_label(note.meaning) if note.meaning else f"{note.meaning_id} (not in the catalogue now)"

    @admin.display(description="note")
    def beginning(self, note: LocalNote) -> SafeString:
        line = " ".join(note.text.split())
        return format_html('<span class="one-line">{}</span>', line if len(line) <= 100 else f"{line[:99]}…")

    @admin.display(description="as readers see it")
    def as_read(self, note: LocalNote) -> str:
        return render_note(note.text) if note.pk else "Save, and it is shown here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[LocalNote]:
        return super().get_queryset(request).select_related("meaning__owner")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Keep the meaning fixed: a moved note would take its history to another code."""
        return [*self.readonly_fields, "code", "meaning"] if obj is not None else list(self.readonly_fields)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the meaning of the note, or its key where the meaning left the files."""
        return ["code" if obj is not None else "meaning", "text", "as_read", "created", "updated"]

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        return obj.meaning.get_absolute_url() if obj is not None and obj.meaning else None

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show every version of a note, also of a deleted one: user, time and changed lines."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        rows = (
            list(LocalNote.history.filter(id=object_id).select_related("history_user"))
            if object_id.isdigit()
            else []
        )
        if not rows:
            raise Http404
        page = Paginator(list(changes_of(rows)), PER_PAGE).get_page(request.GET.get("p"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of the note on {rows[0].meaning_id}",
            "opts": self.opts,
            "page": page,
            "note": LocalNote.objects.filter(pk=object_id).first(),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/codes/localnote/history.html", context)


def changes_of(rows: list[Any]) -> Iterator[NoteChange]:
    """Return the rows of a note's history, newest first, each compared with the one before it."""
    for position, row in enumerate(rows):
        earlier = rows[position + 1].text if position + 1 < len(rows) else ""
        old, new = (row.text, "") if row.history_type == "-" else (earlier, row.text)
        lines = difflib.ndiff(old.splitlines(), new.splitlines())
        shown = tuple((line[:1].strip(), line[2:]) for line in lines if not line.startswith("?"))
        yield NoteChange(row, ACTIONS[row.history_type], shown)


def meaning_label(meaning: Meaning) -> str:
    """ "HTTP 451 Redirect (Microsoft)" """
    registry, number, _ = meaning.key.split("/")
    word = "HTTP" if registry == "http" else registry.capitalize()
    return f"{word} {number} {meaning.name}" + (f" ({meaning.owner.name})" if meaning.shared_number else "")
