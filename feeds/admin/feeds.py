"""The admin of Stroom feeds: what senders may send where."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.forms import BaseModelFormSet, ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls.resolvers import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString

from feeds.admin import columns, pages, search_words
from feeds.admin.bulk import BulkStatusMixin
from feeds.admin.bulk_edit import BulkEditMixin
from feeds.admin.display import ago, label_chips, number_with_bar, one_line
from feeds.admin.feed_files import TransferMixin
from feeds.admin.forms import FeedForm, RuleForm
from feeds.admin.history_pages import PastMixin
from feeds.admin.listing import (
    LAST_RECEIVED,
    WORD_FILTERS,
    ClassificationFilter,
    LabelFilter,
    OwnerFilter,
    PolicyFilter,
    QuietFilter,
    RefusedFilter,
    RuleExpiryFilter,
    with_figures,
)
from feeds.admin.page import feed_panel
from feeds.admin.paste import PasteMixin, PrefillMixin, wanted_rows
from feeds.admin.read_page import ReadPageMixin
from feeds.admin.remedies import offer_new_test
from feeds.admin.saved_views import SavedViewsMixin, views_for
from feeds.admin.test_request import TestRequestMixin
from feeds.changes.approval import concerning, guarded, waiting
from feeds.changes.approval_watch import is_on, settle
from feeds.changes.permissions import is_guarded, may_delete, may_manage_certificates, may_rename
from feeds.history import commented
from feeds.models import CertificateRule, Feed
from portal.admin_base import chip

THIS_CHANGE = "This change"


class CertificateRuleInline(admin.TabularInline):  # type: ignore[type-arg]  # generic only in the stubs
    """The rules of one feed; certificate officers change them, everyone else who sees the feed reads them."""

    model = CertificateRule
    form = RuleForm
    extra = 0
    template = "admin/feeds/rules_inline.html"
    verbose_name_plural = "certificate rules"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """Return as many rows as the address asks for."""
        return len(wanted_rows(request))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("feeds.view_feed"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage_certificates(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage_certificates(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage_certificates(request.user)


@admin.register(Feed)
class FeedAdmin(
    ReadPageMixin,
    BulkStatusMixin,
    BulkEditMixin,
    SavedViewsMixin,
    PastMixin,
    PasteMixin,
    PrefillMixin,
    TestRequestMixin,
    TransferMixin,
):
    """List and page of feeds."""

    form = FeedForm
    inlines = [CertificateRuleInline]
    list_display = ["name", *(method for method, _ in columns.CHOICES.values())]
    list_filter = ["status", PolicyFilter, QuietFilter, RefusedFilter, RuleExpiryFilter]
    list_filter += [LabelFilter, OwnerFilter, ClassificationFilter]
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ["name", "owner", "description", "certificate_rules__subject_dn"]
    search_help_text = search_words.HELP
    list_per_page = 50
    save_as = True
    view_on_site = False
    radio_fields = {"status": admin.HORIZONTAL, "certificate_policy": admin.VERTICAL}
    fieldsets = [
        (None, {"fields": ["name", "status", "description", "owner", "classification", "labels"]}),
        ("Allowed senders", {"fields": ["certificate_policy"]}),
        (
            "What the data is",
            {
                "fields": [
                    ("stream_type", "reference"),
                    ("encoding", "context_encoding"),
                    ("data_format", "schema", "schema_version"),
                ],
                "classes": ["collapse"],
            },
        ),
        (THIS_CHANGE, {"fields": ["change_comment", "seen_version"]}),
    ]

    @admin.display(description="status", ordering="status")
    def status_chip(self, feed: Feed) -> SafeString:
        return chip(feed.status, feed.get_status_display())

    @admin.display(description="certificate", ordering="certificate_policy")
    def policy_chip(self, feed: Feed) -> SafeString:
        return chip(
            f"policy-{feed.certificate_policy}", feed.certificate_policy, feed.get_certificate_policy_display()
        )

    @admin.display(description="owner", ordering="owner")
    def owner_line(self, feed: Feed) -> SafeString:
        return one_line(feed.owner)

    @admin.display(description="classification", ordering="classification")
    def classification_line(self, feed: Feed) -> SafeString:
        return one_line(feed.classification)

    @admin.display(description="labels")
    def labels_line(self, feed: Feed) -> SafeString:
        return label_chips(feed.labels)

    @admin.display(description="description")
    def description_line(self, feed: Feed) -> SafeString:
        return one_line(feed.description)

    @admin.display(description="rules", ordering="rules")
    def rule_count(self, feed: Any) -> int:
        return int(feed.rules)

    @admin.display(description="last change", ordering="updated")
    def updated_ago(self, feed: Feed) -> SafeString:
        return ago(feed.updated, datetime.now(UTC))

    @admin.display(description="last received", ordering=LAST_RECEIVED)
    def last_received_ago(self, feed: Any) -> SafeString:
        return ago(feed.last_received, datetime.now(UTC))

    @admin.display(description="arrived 24 h", ordering="accepted_24h")
    def accepted_bar(self, feed: Any) -> SafeString:
        return number_with_bar("accepted", feed.accepted_24h)

    @admin.display(description="refused 24 h", ordering="refused_24h")
    def refused_bar(self, feed: Any) -> SafeString:
        return number_with_bar("refused", feed.refused_24h)

    def action_checkbox(self, obj: Feed) -> SafeString:
        """Return the box of a row as Django does, without rendering a form's widget for each."""
        return format_html(
            '<input type="checkbox" name="_selected_action" value="{}" class="action-select" aria-label="{}">',
            obj.pk,
            f"Select this object for an action - {obj}",
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return columns.FeedChangeList

    def get_list_display(self, request: HttpRequest) -> Any:
        return columns.methods(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feed]:
        return with_figures(super().get_queryset(request), datetime.now(UTC)).order_by("name")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find each word in the searched fields, as Django does, but without a row for each rule: the
        search is part of the count of every facet.
        """
        for word in search_words.words_of(search_term):
            queryset = queryset.filter(search_words.condition_of(word, WORD_FILTERS))
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": "Feeds", "columns": columns.offered(request), "kept": columns.kept_query(request)}
        context |= views_for(request)
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Keep the guard of a feed to certificate officers (S30); a new feed of others starts unguarded."""
        readonly: list[str] = []
        if not may_manage_certificates(request.user):
            readonly.append("certificate_policy")
        if isinstance(obj, Feed) and not may_rename(request.user, obj):
            readonly.append("name")
        return tuple(readonly)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Readers who change nothing are not asked why."""
        fieldsets = super().get_fieldsets(request, obj)
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return fieldsets if may_write else [entry for entry in fieldsets if entry[0] != THIS_CHANGE]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Feed):
            return may_delete(request.user, obj)
        return super().has_delete_permission(request, obj)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return super().changeform_view(request, *args, **kwargs)
        with guarded(request.user), commented(request.POST.get("change_comment", "")):
            _hold(args[0] if args else kwargs.get("object_id"))
            response = super().changeform_view(request, *args, **kwargs)
        if response.status_code == HTTPStatus.FOUND and "_saveasnew" in request.POST:
            self._warn_of_missing_guard(request, args[0] if args else kwargs.get("object_id"))
        if response.status_code == HTTPStatus.FOUND:
            offer_new_test(request)
        return response

    def _warn_of_missing_guard(self, request: HttpRequest, object_id: Any) -> None:
        """Warn that a copy made without the right to manage certificates has no certificate rules."""
        original = self.get_object(request, str(object_id))
        if isinstance(original, Feed) and is_guarded(original) and not may_manage_certificates(request.user):
            messages.warning(
                request,
                f"The copy has neither the certificate policy nor the rules of {original.name}: "
                "every sender is accepted until a certificate officer adds them.",
            )

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Add the figures of an existing feed."""
        context["this_change"] = THIS_CHANGE
        context["may_manage_certificates"] = may_manage_certificates(request.user)
        context["second_approval"] = is_on()
        feed = context.get("original")
        if isinstance(feed, Feed):
            context["proposals"] = list(concerning(feed.name, waiting())) if is_on() else []
            context["panel"] = feed_panel(feed, request.user)
            context.update(title=feed.name, subtitle=None)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        return pages.urls_of(self, super().get_urls())

    def save_model(self, request: HttpRequest, obj: Feed, form: ModelForm, change: bool) -> None:  # type: ignore[type-arg]  # noqa: FBT001
        """Write nothing, and no history, where only the comment was filled in."""
        if not change or (isinstance(form, FeedForm) and form.changes_feed):
            super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: list[BaseModelFormSet], change: bool) -> None:  # type: ignore[type-arg]  # noqa: FBT001
        """Increase the feed's version also when only rules change: receipts and ETags refer to both together."""
        super().save_related(request, form, formsets, change)
        if change and not form.changes_feed and any(formset.has_changed() for formset in formsets):
            form.instance.save()
        settle()

    def delete_model(self, request: HttpRequest, obj: Feed) -> None:
        """Check for second approval before the success message is shown."""
        super().delete_model(request, obj)
        settle()


def _hold(object_id: Any) -> None:
    """Lock the feed until this save has ended, so that the version that it checks stays the latest."""
    key = str(object_id)
    if key.isascii() and key.isdigit() and len(key) < 19:
        list(Feed.objects.select_for_update().filter(pk=key).values_list("pk"))
