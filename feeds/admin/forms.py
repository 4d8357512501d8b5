"""Forms of the feed page."""

import csv
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from feeds.changes.apply import MAX_COMMENT
from feeds.models import MAX_LABEL, MAX_LABELS, CertificateRule, Feed
from feeds.rules.dn import BadDistinguishedName, parse_dn
from feeds.rules.facts import TOKEN_SUBJECT
from feeds.rules.pasted import UnreadableCertificate, read_pasted
from portal.admin_base import UtcDateTimeField


class LabelsField(forms.CharField):
    """A JSON list of words, written with commas between; a word with a comma in it stands in quotation marks."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(_as_typed(str(word)) for word in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]  # a list is what the model holds
        words = value if isinstance(value, list) else _typed_words(str(value or ""))
        labels = list(dict.fromkeys(str(word).strip() for word in words if str(word).strip()))
        if len(labels) > MAX_LABELS:
            raise ValidationError("At most %(most)d labels.", params={"most": MAX_LABELS})
        if any(len(label) > MAX_LABEL for label in labels):
            raise ValidationError("At most %(most)d characters in a label.", params={"most": MAX_LABEL})
        return labels

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


def _as_typed(word: str) -> str:
    """Return a label as it must be typed: otherwise the next save would split one that came through REST."""
    return (
        '"' + word.replace('"', '""') + '"'
        if word.startswith('"') or any(character in word for character in ",\r\n")
        else word
    )


def _typed_words(text: str) -> list[str]:
    try:
        return next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error as fault:
        raise ValidationError("Write the labels in one line, with commas between.") from fault


class CommentField(forms.CharField):
    """Reason for a change; kept with the history."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", "Reason")
        kwargs.setdefault("help_text", "One sentence for readers of the history: a ticket, a request, a reason.")
        kwargs.setdefault("max_length", MAX_COMMENT)
        kwargs.setdefault("required", settings.ENVIRONMENT.change_comment_required)
        super().__init__(**kwargs)


class FeedForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A feed with a comment on the change, and the version that the editor saw."""

    labels = LabelsField(
        required=False,
        help_text="Words with commas between, to find feeds by. One with a comma in it stands in quotation marks.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    change_comment = CommentField()
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Feed
        fields = "__all__"  # noqa: DJ007  # the admin's field sets name the fields
        widgets = {
            "name": forms.TextInput(attrs={"class": "vTextField mono", "spellcheck": "false"}),
            "description": forms.Textarea(attrs={"rows": 3, "cols": 70}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "seen_version" in self.fields:
            self.initial["seen_version"] = self.instance.version

    @property
    def changes_feed(self) -> bool:
        """Whether anything but the comment was edited."""
        return any(name not in {"change_comment", "seen_version"} for name in self.changed_data)

    def clean(self) -> dict[str, Any]:
        """Refuse to save over a change that another user made meanwhile, and say so."""
        cleaned: dict[str, Any] = super().clean() or {}
        seen = cleaned.get("seen_version")
        if self.instance.pk and seen is not None and seen != self.instance.version:
            latest = self.instance.history.first()
            who = latest.history_user.get_username() if latest and latest.history_user else "Another user"
            raise ValidationError(
                "%(who)s changed this feed while you edited it. Open it again, then make your change.",
                code="changed",
                params={"who": who},
            )
        return cleaned


class ReadingFeedForm(FeedForm):
    """Form for a request that only reads the paste box: it never validates, so that nothing is saved."""

    def clean(self) -> dict[str, Any]:
        raise ValidationError("Only the pasted certificate was read.", code="reading")


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """One certificate rule as a row of the table; every field says what it is, also to a screen reader."""

    expires = UtcDateTimeField(label="Expires (UTC)", required=False)

    class Meta:
        model = CertificateRule
        fields = ("action", "subject_dn", "expires", "comment")
        widgets = {
            "subject_dn": forms.Textarea(
                attrs={"rows": 1, "cols": 50, "class": "mono", "spellcheck": "false", "aria-label": "Subject DN"}
            ),
            "action": forms.Select(attrs={"aria-label": "Action"}),
            "comment": forms.TextInput(attrs={"aria-label": "Comment"}),
        }

    def clean_subject_dn(self) -> str:
        """Replace a pasted PEM certificate by its subject."""
        text = str(self.cleaned_data["subject_dn"]).strip()
        if "-----BEGIN" not in text:
            return text
        try:
            return read_pasted(text).subject
        except UnreadableCertificate as fault:
            raise ValidationError("This certificate cannot be read: %(fault)s.", params={"fault": fault}) from fault

    @property
    def reads_as(self) -> str:
        """The saved DN in normal form, where that differs from how it is written."""
        try:
            is_dn = self.instance.pk and not self.instance.subject_dn.startswith(TOKEN_SUBJECT)
            understood = str(parse_dn(self.instance.subject_dn)) if is_dn else self.instance.subject_dn
        except BadDistinguishedName:
            return "cannot be read and matches nothing"
        return understood if understood != self.instance.subject_dn else ""

    @property
    def expired(self) -> bool:
        expires = self.instance.expires
        return bool(self.instance.pk and expires and expires <= datetime.now(UTC))
