"""Admin of receipt rules: the list in its order, conditions as lines, a test, and what they matched."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.safestring import SafeString

from feeds.admin.display import visible
from feeds.admin.forms import CommentField
from feeds.changes import receipt_rules as changes
from feeds.changes.approval import CannotDecide, MayNotDecide
from feeds.changes.approval_watch import is_on
from feeds.changes.receipt_rule_rehearsal import MOST_DELIVERIES, RuleRehearsal, rehearse
from feeds.models import ReceiptRule, ReceiptRuleMatch
from feeds.rules.receipt_rules import BadCondition, Condition, parse_conditions
from portal.admin_base import UtcDateTimeField, chip

TEST = "_test"
MOST_MATCHES = 50
DECISIONS = {"approve": changes.approve_rule, "decline": changes.decline_rule}


class ReceiptRuleForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A receipt rule; its conditions are lines of text."""

    conditions = forms.CharField(
        required=False,
        max_length=64 * 1024,
        widget=forms.Textarea(attrs={"rows": 5, "cols": 70, "class": "mono", "spellcheck": "false"}),
        help_text=(
            "One on each line; all must hold, none means every delivery. System = PAYROLL · Environment in PROD | "
            "LIVE · not Component ~ test-* · remote_address = 10.0.0.0/8 · sender_dn = CN=client-a · "
            "sender_token = payroll"
        ),
    )
    expires = UtcDateTimeField(
        label="Expires (UTC)", required=False, help_text="From this instant the rule matches nothing."
    )
    change_comment = CommentField(required=False)

    class Meta:
        model = ReceiptRule
        fields = ("name", "position", "action", "enabled", "shadow", "expires", "comment")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None and "position" in self.fields:
            self.initial.setdefault("position", changes.next_position())
            self.initial.setdefault("shadow", True)
        if self.instance.pk and "conditions" in self.fields:
            self.initial["conditions"] = lines_of(self.instance)

    def clean_conditions(self) -> list[dict[str, Any]]:
        try:
            return [condition.as_record() for condition in parse_conditions(self.cleaned_data["conditions"])]
        except BadCondition as fault:
            raise ValidationError("%(fault)s.", params={"fault": str(fault).capitalize()}) from fault

    def _post_clean(self) -> None:
        self.instance.conditions = self.cleaned_data.get("conditions", self.instance.conditions)
        super()._post_clean()  # type: ignore[misc]  # Django's hook


def lines_of(rule: ReceiptRule) -> str:
    """Return the conditions as the form takes them."""
    try:
        return "\n".join(map(str, rule.read()))
    except BadCondition:
        return ""


@admin.register(ReceiptRule)
class ReceiptRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Receipt rules in the order in which they are tried."""

    form = ReceiptRuleForm
    change_form_template = "admin/feeds/receiptrule/change_form.html"
    list_display = ["position", "name", "action_chip", "state", "conditions_text", "expires", "matched"]
    list_display_links = ["name"]
    list_filter = ["action", "enabled", "shadow"]
    search_fields = ["name", "comment"]
    ordering = ["position", "pk"]
    show_facets = admin.ShowFacets.ALWAYS
    actions = None
    view_on_site = False
    fieldsets = [
        (None, {"fields": ["name", "position", "action", "conditions"]}),
        ("When it counts", {"fields": ["enabled", "shadow", "expires"]}),
        ("Why", {"fields": ["comment", "change_comment"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReceiptRule]:
        rules: QuerySet[ReceiptRule] = super().get_queryset(request).select_related("pending_by")
        return rules.annotate(matched_count=Sum("matches__count"))

    @admin.display(description="action", ordering="action")
    def action_chip(self, rule: ReceiptRule) -> SafeString:
        return chip(rule.action.lower(), rule.action)

    @admin.display(description="state")
    def state(self, rule: ReceiptRule) -> str:
        if rule.pending is not None:
            return "waits for approval"
        if not rule.enabled:
            return "not enabled"
        if rule.expires is not None and rule.expires <= timezone.now():
            return "expired"
        return "in shadow" if rule.shadow else "in force"

    @admin.display(description="conditions")
    def conditions_text(self, rule: ReceiptRule) -> str:
        return visible("; ".join(lines_of(rule).splitlines()))[:200] or "every delivery"

    @admin.display(description="matched in 30 days")
    def matched(self, rule: ReceiptRule) -> int:
        return int(getattr(rule, "matched_count", 0) or 0)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [] if self.has_change_permission(request, obj) or obj is None else ["conditions_text"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        shown = ["name", "position", "action", "conditions_text", "enabled", "shadow", "expires", "comment"]
        return [(None, {"fields": shown})]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        return [path("<int:pk>/decide/", view, name="feeds_receiptrule_decide"), *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = {**self._context(request, object_id), **(extra_context or {})}
        if request.method == "POST" and TEST in request.POST:
            return self._tested(request, object_id, context)
        return super().changeform_view(request, object_id, form_url, context)

    def _context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        rule = self.get_object(request, object_id) if object_id else None
        return {
            "rule": rule,
            "most_deliveries": MOST_DELIVERIES,
            "may_test": request.user.has_perm("feeds.view_receipt"),
            "matches": ReceiptRuleMatch.objects.filter(rule=rule)[:MOST_MATCHES] if rule else (),
            "changes": rule.history.select_related("history_user")[:MOST_MATCHES] if rule else (),
            "waits": changed_lines(rule) if rule is not None and rule.pending is not None else None,
        }

    def _tested(self, request: HttpRequest, object_id: str | None, context: dict[str, Any]) -> HttpResponse:
        """Try what the form says on the latest deliveries, without saving it."""
        rule = self.get_object(request, object_id) if object_id else None
        allowed = self.has_change_permission(request, rule) if rule else self.has_add_permission(request)
        if not allowed or not request.user.has_perm("feeds.view_receipt"):
            raise PermissionDenied
        form = self.get_form(request, rule, change=rule is not None)(request.POST, instance=rule)
        found: RuleRehearsal | None = None
        if form.is_valid():
            found = rehearse(form.instance.as_rule(), timezone.now())
        else:
            messages.error(request, "The rule cannot be tried: correct it first.")
        return self._shown(request, rule, form, {**context, "rehearsal": found})

    def _shown(
        self, request: HttpRequest, rule: ReceiptRule | None, form: Any, context: dict[str, Any]
    ) -> HttpResponse:
        """Show the form as it was typed."""
        from django.contrib.admin.helpers import AdminForm  # private to the admin's own views

        shown = AdminForm(form, list(self.get_fieldsets(request, rule)), {}, (), model_admin=self)
        whole = {
            **self.admin_site.each_context(request),
            "title": "Test of a receipt rule",
            "adminform": shown,
            "errors": form.errors,
            "object_id": rule.pk if rule else None,
            "original": rule,
            "is_popup": False,
            "inline_admin_formsets": [],
            "media": self.media + shown.media,
            "preserved_filters": "",
            **context,
        }
        return self.render_change_form(request, whole, add=rule is None, change=rule is not None, obj=rule)

    def save_model(self, request: HttpRequest, obj: ReceiptRule, form: Any, change: bool) -> None:  # noqa: FBT001  # Django's
        if not changes.write_rule(obj, request.user, comment=form.cleaned_data.get("change_comment", "")):
            messages.warning(request, "Nothing has changed yet: the rule waits for another certificate officer.")

    def delete_model(self, request: HttpRequest, obj: ReceiptRule) -> None:
        if not changes.remove_rule(obj, request.user):
            messages.warning(request, "The rule is still there: its removal waits for another certificate officer.")

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Approve what waits, or throw it away."""
        decision = request.POST.get("decision", "")
        if request.method != "POST" or decision not in DECISIONS or not self.has_change_permission(request):
            raise PermissionDenied
        try:
            rule = DECISIONS[decision](pk, request.user, comment=request.POST.get("comment", "")[:1000])
        except (MayNotDecide, CannotDecide) as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse("admin:feeds_receiptrule_changelist"))
        messages.success(request, "Approved." if decision == "approve" else "Thrown away: nothing has changed.")
        target = rule.get_absolute_url() if rule else reverse("admin:feeds_receiptrule_changelist")
        return HttpResponseRedirect(target)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Leave a removal that waits out of Django's own log."""
        return None if is_on() else super().log_deletions(request, queryset)


def changed_lines(rule: ReceiptRule) -> list[tuple[str, str, str]]:
    """Return what waits: name, present and wanted value of each difference; one line for a removal."""
    if not rule.pending:
        return [("the rule", "is there", "removed")]
    present = changes.values_of(rule)
    return [
        (name, _shown_value(name, present[name]), _shown_value(name, value))
        for name, value in rule.pending.items()
        if present[name] != value
    ]


def _shown_value(name: str, value: Any) -> str:
    if name != "conditions":
        return str(value)
    return "; ".join(str(Condition(c["field"], c["operator"], tuple(c["values"]), c["negated"])) for c in value)
