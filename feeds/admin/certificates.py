"""Certificates as a thing of their own: which feeds one may send to and why, and those denied for every feed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString

from feeds.admin.display import visible
from feeds.admin.remedies import policy_of
from feeds.changes.denials import MayNotWithdraw, denials, deny_everywhere, withdraw
from feeds.changes.permissions import may_manage_certificates
from feeds.models import CertificateRule, Feed, Receipt, RefusalSample
from feeds.rules.decision import Certificate, Decision, decide_feed
from feeds.rules.dn import DistinguishedName, rule_matches
from feeds.rules.pasted import MAX_PASTED, PastedCertificate, UnreadableCertificate, read_pasted
from portal.admin_latest import latest_rows

#: Feeds, receipts and refusals that the page lists.
MOST_FEEDS, MOST_SEEN = 500, 10


@dataclass(frozen=True)
class Reach:
    """Answer of one feed to the certificate."""

    feed: Feed
    decision: Decision

    @property
    def reason(self) -> str:
        return self.decision.trace[-1].explanation


@dataclass(frozen=True)
class CertificateReport:
    """Everything that the portal knows of one certificate."""

    pasted: PastedCertificate
    expired: bool
    open: list[Reach]
    closed: list[Reach]
    rules: list[CertificateRule]
    receipts: list[Receipt]
    refusals: list[RefusalSample]
    denied: list[CertificateRule]


class CertificateForm(forms.Form):
    """A certificate to look at."""

    certificate = forms.CharField(
        label="PEM or DN",
        max_length=MAX_PASTED,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text="A PEM certificate, or its name in any usual form, such as CN=client-a,OU=Test,O=Example,C=GB.",
    )

    def clean_certificate(self) -> PastedCertificate:
        try:
            return read_pasted(self.cleaned_data["certificate"])
        except UnreadableCertificate as fault:
            raise forms.ValidationError(f"This cannot be read: {fault}.") from fault


def report_on(pasted: PastedCertificate, now: datetime) -> CertificateReport:
    """Decide for every feed, with two queries however many there are, and look up what was seen of it."""
    certificate = Certificate(
        presented=True, verified=True, text=pasted.subject, dn=pasted.dn, expires=pasted.expires
    )
    feeds = list(Feed.objects.prefetch_related("certificate_rules").order_by("name"))
    everywhere = list(denials())
    policies = ((feed, policy_of(feed, everywhere)) for feed in feeds)
    reached = [
        Reach(feed, decide_feed(feed=feed.name, certificate=certificate, policy=policy, now=now))
        for feed, policy in policies
    ]
    rules = [rule for feed in feeds for rule in feed.certificate_rules.all() if _names(rule, pasted.dn)]
    return CertificateReport(
        pasted=pasted,
        expired=pasted.expires is not None and pasted.expires <= now,
        open=[reach for reach in reached if reach.decision.accepted],
        closed=[reach for reach in reached if not reach.decision.accepted],
        rules=rules,
        receipts=list(
            latest_rows(Receipt.objects.all()).filter(sender_dn=pasted.subject).order_by("-received_at")[:MOST_SEEN]
        ),
        refusals=list(
            latest_rows(RefusalSample.objects.all()).filter(sender_dn=pasted.subject).order_by("-at")[:MOST_SEEN]
        ),
        denied=[rule for rule in everywhere if _names(rule, pasted.dn)],
    )


def _page_of(subject_dn: str) -> str:
    return f"{reverse('admin:feeds_certificate')}?{urlencode({'certificate': subject_dn})}"


def _names(rule: CertificateRule, dn: DistinguishedName) -> bool:
    return rule_matches(rule.subject_dn, dn)


@admin.register(CertificateRule)
class DenialAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Certificates denied for every feed, and the page about one certificate."""

    list_display = ["dn_link", "expires", "comment"]
    list_display_links = None
    search_fields = ["subject_dn"]
    actions = None

    @admin.display(description="certificate", ordering="subject_dn")
    def dn_link(self, rule: CertificateRule) -> SafeString:
        return format_html('<a class="mono" href="{}">{}</a>', _page_of(rule.subject_dn), visible(rule.subject_dn))

    def get_queryset(self, request: HttpRequest) -> Any:
        return denials()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # denied from the page of the certificate

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let rules go with their feed, which has a check of its own; the page for deleting one is closed."""
        return True

    def delete_view(self, *_: Any, **__: Any) -> HttpResponse:
        raise PermissionDenied

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Lead to the page of the certificate."""
        rule = self.get_object(request, object_id)
        if rule is None or not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(_page_of(rule.subject_dn))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(
            request, {"title": "Certificates denied for every feed", **(extra_context or {})}
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.certificate_view)
        return [path("certificate/", view, name="feeds_certificate"), *super().get_urls()]

    def certificate_view(self, request: HttpRequest) -> HttpResponse:
        """Show what one certificate may do; deny it for every feed, or withdraw that."""
        if not (self.has_view_permission(request) and request.user.has_perm("feeds.view_feed")):
            raise PermissionDenied
        asked = request.POST if request.method == "POST" else request.GET
        form = CertificateForm(asked if "certificate" in asked else None)
        report = None
        if form.is_bound and form.is_valid():
            pasted: PastedCertificate = form.cleaned_data["certificate"]
            if request.method == "POST" and {"deny", "withdraw"} & set(request.POST):
                return self._change(request, pasted)
            report = report_on(pasted, datetime.now(UTC))
        context = {
            **self.admin_site.each_context(request),
            "title": "Certificate",
            "opts": self.opts,
            "form": form,
            "report": report,
            "most": MOST_FEEDS,
            "may_deny": may_manage_certificates(request.user),
            "may_see_data": request.user.has_perm("feeds.view_receipt"),
        }
        return TemplateResponse(request, "admin/feeds/certificate.html", context)

    def _change(self, request: HttpRequest, pasted: PastedCertificate) -> HttpResponse:
        if not may_manage_certificates(request.user):
            raise PermissionDenied
        comment = request.POST.get("comment", "").strip()
        if "deny" in request.POST:
            deny_everywhere(pasted.subject, comment=comment)
            messages.success(request, f"{pasted.subject} is denied for every feed from the next request on.")
        else:
            self._withdraw(request, pasted, comment)
        return HttpResponseRedirect(_page_of(pasted.subject))

    def _withdraw(self, request: HttpRequest, pasted: PastedCertificate, comment: str) -> None:
        try:
            for rule in denials():
                if rule_matches(rule.subject_dn, pasted.dn):
                    withdraw(rule, comment=comment)
        except MayNotWithdraw as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, f"{pasted.subject} is no longer denied for every feed.")
