"""Pages of second approval: the list of proposed changes, and for each its differences and the decision."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path
from django.urls.resolvers import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString

from feeds.admin.forms import CommentField
from feeds.admin.history_pages import DiffLine, diff_lines, rule_text
from feeds.changes import approval
from feeds.changes.approval_items import ProposalItem, items_of
from feeds.changes.approval_watch import is_on
from feeds.models import Feed, Proposal
from portal.admin_base import ReadOnlyAdmin, chip

DECISIONS: dict[str, tuple[Callable[[int, Any, str], Proposal], str]] = {
    "approve": (approval.approve, "Approved: the change is active."),
    "decline": (approval.decline, "Declined. Nothing was changed."),
    "withdraw": (approval.withdraw, "Withdrawn. Nothing was changed."),
}


class DecisionForm(forms.Form):
    """Form of a decision: the button that was pressed, and the reason."""

    decision = forms.ChoiceField(choices=[(word, word) for word in DECISIONS])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of several lines, so that Enter in it presses no button.
        self.fields["change_comment"] = CommentField(
            label="Why",
            help_text="What you looked at, and why you decide so. It is kept with the history.",
            widget=forms.Textarea(attrs={"rows": 2}),
        )


@dataclass(frozen=True)
class ShownItem:
    """Effect of a proposal on one feed, as the page shows it.

    `rules` are those that would be in force; `feed_id` leads to the feed where it is there now.
    """

    item: ProposalItem
    lines: list[DiffLine]
    rules: list[str]
    feed_id: int | None


class ProposalMiddleware:
    """Redirects to the proposal when a save in the admin waits for second approval (S30)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return announce(request, exception.proposal) if isinstance(exception, approval.Proposed) else None


def announce(request: HttpRequest, proposal: Proposal) -> HttpResponse:
    """Redirect to the page of a new proposal, with a message."""
    messages.warning(
        request,
        "Nothing has been changed yet. All of what you saved waits here for another certificate officer, "
        "because it changes what guards a feed.",
    )
    return HttpResponseRedirect(proposal.get_absolute_url())


@admin.register(Proposal)
class ProposalAdmin(ReadOnlyAdmin):
    """Proposals are made by saving feeds, and decided on their page; nothing edits or removes them."""

    list_display = ["feeds_text", "state_chip", "proposer", "proposed_at", "comment_line", "decider", "decided_at"]
    list_filter = ["state"]
    search_fields = ["names", "proposer__exact", "comment"]
    search_help_text = "Part of a feed's name or of the comment, or an exact user name."

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="feeds_proposal_changelist"),
            path("<int:proposal_id>/", wrap(self.decide_view), name="feeds_proposal_change"),
        ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_on() and bool(request.user.has_perm("feeds.view_feed"))

    @admin.display(description="feeds")
    def feeds_text(self, proposal: Proposal) -> str:
        return str(proposal)

    @admin.display(description="state", ordering="state")
    def state_chip(self, proposal: Proposal) -> SafeString:
        return chip(proposal.state, proposal.state)

    @admin.display(description="why")
    def comment_line(self, proposal: Proposal) -> SafeString:
        return format_html('<span class="one-line" title="{}">{}</span>', proposal.comment, proposal.comment)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        _require_on()
        return super().changelist_view(request, {"title": "Proposed changes", **(extra_context or {})})

    def decide_view(self, request: HttpRequest, proposal_id: int) -> HttpResponse:
        """Show every difference, and the buttons that the user may press."""
        _require_on()
        if not self.has_view_permission(request):
            raise PermissionDenied
        proposal = get_object_or_404(Proposal, pk=min(proposal_id, 2**63 - 1))
        form = DecisionForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            decide, done = DECISIONS[form.cleaned_data["decision"]]
            try:
                decide(proposal.pk, request.user, form.cleaned_data["change_comment"])
            except approval.MayNotDecide as refusal:
                raise PermissionDenied(str(refusal)) from refusal
            except approval.CannotDecide as refusal:
                form.add_error(None, str(refusal))
                proposal.refresh_from_db()
            else:
                messages.success(request, done)
                return HttpResponseRedirect(proposal.get_absolute_url())
        return TemplateResponse(request, "admin/feeds/proposal.html", self._context(request, proposal, form))

    def _context(self, request: HttpRequest, proposal: Proposal, form: DecisionForm) -> dict[str, Any]:
        is_open = proposal.state == Proposal.State.OPEN
        items = items_of(proposal)
        present = dict(Feed.objects.filter(name__in=[item.name for item in items]).values_list("name", "pk"))
        return {
            **self.admin_site.each_context(request),
            "title": f"Proposed change of {proposal}",
            "opts": self.opts,
            "proposal": proposal,
            "items": [_shown(item, present.get(item.name)) for item in items],
            "obstacle": approval.obstacle(proposal) if is_open else "",
            "may_decide": is_open and approval.may_decide(request.user, proposal),
            "is_own": request.user.pk == proposal.proposed_by_id,
            "may_withdraw": is_open and request.user.pk == proposal.proposed_by_id,
            "form": form,
        }


def _shown(item: ProposalItem, feed_id: int | None) -> ShownItem:
    rules = [rule_text(vars(rule)) for rule in item.after.rules] if item.after else []
    return ShownItem(item, diff_lines(item.changes), rules, feed_id)


def _require_on() -> None:
    if not is_on():
        raise Http404("This portal wants no second approval.")
