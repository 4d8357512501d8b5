"""Edit many selected feeds at once: labels, owner and classification, and one certificate rule more or less."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from feeds.admin.bulk import MAX_NAMED, BulkForm
from feeds.admin.display import visible
from feeds.admin.forms import LabelsField
from feeds.changes.apply import RuleValues
from feeds.changes.approval import TooMuch
from feeds.changes.approval_watch import is_on
from feeds.changes.many import FeedEdit, TooManyFeeds, edit_feeds, shared_rules
from feeds.changes.permissions import may_manage_certificates
from feeds.models import CertificateRule, Feed
from feeds.rules.facts import TOKEN_SUBJECT
from feeds.rules.pasted import MAX_PASTED, UnreadableCertificate, read_pasted
from portal.admin_base import UtcDateTimeField
from portal.text import counted


class ValuesForm(BulkForm):
    """New values; what stays empty is left as it is in each feed."""

    add_labels = LabelsField(required=False, label="Add labels", help_text="Words with commas between.")
    remove_labels = LabelsField(required=False, label="Remove labels", help_text="Words with commas between.")
    owner = forms.CharField(required=False, max_length=200, label="Owner")
    classification = forms.CharField(required=False, max_length=200, label="Classification")
    emptied = forms.MultipleChoiceField(
        required=False,
        label="Make empty",
        choices=[("owner", "owner"), ("classification", "classification")],
        widget=forms.CheckboxSelectMultiple,
    )

    def edit(self) -> FeedEdit:
        """Return what was asked for. Only for a valid form."""
        cleaned = self.cleaned_data
        values = {name: cleaned[name] for name in ("owner", "classification") if cleaned[name]}
        values |= dict.fromkeys(cleaned["emptied"], "")
        return FeedEdit(values, tuple(cleaned["add_labels"]), tuple(cleaned["remove_labels"]))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and self.edit() == FeedEdit():
            raise forms.ValidationError("Say what to change.")
        return cleaned


class AddRuleForm(BulkForm):
    """One rule for each feed."""

    action = forms.ChoiceField(choices=CertificateRule.Action.choices, initial="deny", widget=forms.RadioSelect)
    certificate = forms.CharField(
        label="PEM, DN or token",
        max_length=MAX_PASTED,
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false", "autofocus": True}),
        help_text="A PEM certificate, or its name in any usual form; only CN=client-a matches by common name. "
        "Or token: and the name of a sender token.",
    )
    expires = UtcDateTimeField(
        label="Expires (UTC)", required=False, help_text="From then on the rule matches nothing. Empty: never."
    )
    rule_comment = forms.CharField(label="Comment of the rule", required=False, max_length=500)

    def clean_certificate(self) -> str:
        text = self.cleaned_data["certificate"].strip()
        try:
            subject = text if text.startswith(TOKEN_SUBJECT) else read_pasted(text).subject
        except UnreadableCertificate as fault:
            raise forms.ValidationError(f"This cannot be read: {fault}.") from fault
        CertificateRule._meta.get_field("subject_dn").run_validators(subject)
        return subject

    def edit(self) -> FeedEdit:
        cleaned = self.cleaned_data
        rule = RuleValues(
            cleaned["action"], cleaned["certificate"], cleaned["expires"], cleaned["rule_comment"].strip()
        )
        return FeedEdit(add_rule=rule)


class RemoveRuleForm(BulkForm):
    """One of the rules that the selected feeds have."""

    rule = forms.ChoiceField(label="Rule", widget=forms.RadioSelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["rule"].choices = [  # type: ignore[attr-defined]  # a choice field
            (
                f"{rule.action} {rule.subject_dn}",
                f"{rule.action} {visible(rule.subject_dn)} ({counted(rule.feeds, 'feed')})",
            )
            for rule in shared_rules(self.keys())
        ]

    def edit(self) -> FeedEdit:
        action, _, subject_dn = self.cleaned_data["rule"].partition(" ")
        return FeedEdit(remove_rule=(action, subject_dn))


#: Word in the address: form, title, whether it is about rules.
KINDS: dict[str, tuple[type[BulkForm], str, bool]] = {
    "values": (ValuesForm, "Edit labels, owner and classification", False),
    "add-rule": (AddRuleForm, "Add a certificate rule", True),
    "remove-rule": (RemoveRuleForm, "Remove a certificate rule", True),
}


class BulkEditMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds the three edits to the actions of the list, and the addresses that their pages post to."""

    def get_actions(self, request: HttpRequest) -> dict[str, tuple[Callable[..., str], str, str] | None]:
        """Offer the edits of rules to certificate officers only."""
        actions = super().get_actions(request)
        if not may_manage_certificates(request.user):
            actions.pop("add_rule", None)
            actions.pop("remove_rule", None)
        return actions

    @admin.action(description="Edit labels, owner, classification …", permissions=["change"])
    def edit_values(self, request: HttpRequest, queryset: QuerySet[Feed]) -> HttpResponse:
        return self._first_page(request, queryset, "values")

    @admin.action(description="Add a rule …", permissions=["change"])
    def add_rule(self, request: HttpRequest, queryset: QuerySet[Feed]) -> HttpResponse:
        return self._first_page(request, queryset, "add-rule")

    @admin.action(description="Remove a rule …", permissions=["change"])
    def remove_rule(self, request: HttpRequest, queryset: QuerySet[Feed]) -> HttpResponse:
        return self._first_page(request, queryset, "remove-rule")

    def _first_page(self, request: HttpRequest, queryset: QuerySet[Feed], kind: str) -> HttpResponse:
        keys = ",".join(map(str, queryset.order_by("name").values_list("pk", flat=True)))
        return self._edit_page(request, kind, KINDS[kind][0](initial={"feeds": keys}))

    def _edit_page(self, request: HttpRequest, kind: str, form: BulkForm) -> HttpResponse:
        keys = form.keys()
        feeds = list(Feed.objects.filter(pk__in=keys).order_by("name")[:MAX_NAMED])
        of_rules = KINDS[kind][2]
        context = {
            **self.admin_site.each_context(request),
            "title": KINDS[kind][1],
            "opts": self.opts,
            "form": form,
            "kind": kind,
            "feeds": feeds,
            "count": len(keys),
            "more": max(0, len(keys) - MAX_NAMED),
            "unguarded": Feed.objects.filter(pk__in=keys, certificate_policy="none").count() if of_rules else 0,
            "second_approval": is_on() and of_rules,
        }
        return TemplateResponse(request, "admin/feeds/feed/bulk_edit.html", context)

    def edit_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Make the edit that the page described."""
        is_allowed = self.has_change_permission(request) and kind in KINDS
        if not is_allowed or (KINDS[kind][2] and not may_manage_certificates(request.user)):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:feeds_feed_changelist"))
        form = KINDS[kind][0](request.POST)
        if not form.is_valid():
            return self._edit_page(request, kind, form)
        keys = form.cleaned_data["feeds"]
        try:
            changed = edit_feeds(keys, form.edit(), user=request.user, comment=form.cleaned_data["comment"])
        except (TooManyFeeds, TooMuch) as fault:
            form.add_error(None, str(fault))
            return self._edit_page(request, kind, form)
        same = len(keys) - changed
        already = f" {same} had it so already." if same else ""
        messages.success(request, f"Changed {counted(changed, 'feed')}.{already}")
        return HttpResponseRedirect(reverse("admin:feeds_feed_changelist"))
