"""Notes of this site."""

from typing import Self

from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils.safestring import SafeString
from simple_history.models import HistoricalRecords

from codes import notes
from codes.models.codes import Meaning


class LocalNoteQuerySet(models.QuerySet["LocalNote"]):
    def without_meaning(self) -> Self:
        """Keep the notes that are not shown because their meaning left the files."""
        return self.filter(meaning__name__isnull=True)


class LocalNote(models.Model):
    """Note of this site about a meaning; kept across reloads."""

    # By key alone: a note outlives a meaning that leaves the files, and is shown again when it comes back.
    # Nullable for the sake of the join only, which must not lose such a note; a form always asks for the meaning.
    meaning = models.ForeignKey(
        Meaning, models.DO_NOTHING, related_name="local_notes", null=True, blank=False, db_constraint=False
    )
    text = models.TextField(
        validators=[MaxLengthValidator(notes.MAX_LENGTH)],
        help_text="Markdown, without headings and pictures. Everybody reads it on the code's page and in the API.",
    )
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()
    objects = LocalNoteQuerySet.as_manager()

    class Meta:
        ordering = ["created"]

    def __str__(self) -> str:
        return f"Note on {self.meaning_id}"

    @property
    def html(self) -> SafeString:
        """Return the note as HTML."""
        return notes.render_note(self.text)
