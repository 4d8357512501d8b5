"""The page "Test a request": describe one, see the decision step by step and the exact answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from feeds.admin.remedies import Advice, RefusedRequest, advise
from feeds.changes.denials import denials
from feeds.models import Feed, RefusalSample
from feeds.receipt.dry_run import DescribedCertificate, DescribedToken, DryRun, dry_run
from feeds.rules.arguments import MAX_NAMES
from feeds.rules.decision import TraceStep
from feeds.rules.pasted import UnreadableCertificate, read_pasted
from portal.admin_base import UtcDateTimeField
from portal.site import own_address

MAX_HEADER_TEXT = 64 * 1024
MAX_OFFERED = 3000
#: Headers that decide, apart from the feed's name: those that a link to a test has.
DECIDING = ("compression", "content-encoding")
#: What each step asks, for those that were not reached.
QUESTIONS = {
    1: "Does the request name a feed?",
    2: "Is there a feed of exactly this name?",
    3: "Does its status let data in?",
    4: "Is a certificate or token presented, where one is needed?",
    5: "Is the certificate verified and not expired, or the token valid?",
    6: "Do the feed's rules let it in?",
    7: "Are Compression and Content-Encoding supported?",
}


class TestRequestForm(forms.Form):
    """A described request."""

    feed = forms.CharField(
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "list": "feed-names"}),
        help_text="The Feed header, exactly as sent. Leave it empty to see what happens without.",
    )
    headers = forms.CharField(
        label="Other headers",
        required=False,
        max_length=MAX_HEADER_TEXT,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
        help_text="One on each line, such as Compression: GZIP.",
    )
    presented = forms.ChoiceField(
        label="Client certificate",
        choices=[
            ("none", "none presented"),
            ("verified", "presented, and verified by the proxy"),
            ("failed", "presented, verification failed"),
        ],
        initial="none",
        widget=forms.RadioSelect,
    )
    certificate = forms.CharField(
        label="PEM or DN",
        required=False,
        max_length=MAX_HEADER_TEXT,
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"}),
        help_text="A PEM certificate brings its expiry along. A DN counts as one that has not expired.",
    )
    expires = UtcDateTimeField(
        label="Certificate expires (UTC)", required=False, help_text="For a DN whose certificate ends then."
    )
    token = forms.CharField(
        label="Sender token",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
        help_text="The name of the token that is presented; empty for none.",
    )
    token_fails = forms.BooleanField(label="The token is not valid", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.ENVIRONMENT.sender_tokens:
            del self.fields["token"], self.fields["token_fails"]

    def clean_headers(self) -> dict[str, str]:
        return parse_headers(self.cleaned_data["headers"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("presented") in {"verified", "failed"} and not cleaned.get("certificate", "").strip():
            self.add_error("certificate", "Paste the certificate, or say that none is presented.")
        return cleaned

    def question(self) -> tuple[dict[str, str], DescribedCertificate | None, DescribedToken | None]:
        """Return the arguments of `dry_run`. Only for a valid form."""
        cleaned = self.cleaned_data
        headers = {**cleaned["headers"], **({"Feed": cleaned["feed"]} if cleaned["feed"] else {})}
        certificate = None if cleaned["presented"] == "none" else self._certificate()
        name = cleaned.get("token", "")
        return headers, certificate, DescribedToken(name, not cleaned["token_fails"]) if name else None

    def _certificate(self) -> DescribedCertificate:
        cleaned = self.cleaned_data
        described = describe(cleaned["certificate"], verified=cleaned["presented"] == "verified")
        until = cleaned.get("expires")
        return replace(described, expires=until.isoformat()) if until and not described.expires else described

    def link(self) -> str:
        """Return the address that asks the same. It has only what decides: other headers may hold secrets."""
        cleaned = self.cleaned_data
        asked = {"feed": cleaned["feed"], "presented": cleaned["presented"]}
        if cleaned["presented"] != "none":
            certificate = self._certificate()
            asked |= {"certificate": certificate.dn, "expires": _minute(certificate.expires)}
        if cleaned.get("token"):
            asked |= {"token": cleaned["token"], "token_fails": "on" if cleaned["token_fails"] else ""}
        given = {name.lower(): value for name, value in cleaned["headers"].items()}
        asked |= {name: given[name] for name in DECIDING if name in given}
        query = urlencode({name: value for name, value in asked.items() if value or name == "feed"})
        return f"{reverse('admin:feeds_feed_test')}?{query}"

    def left_out(self) -> list[str]:
        """Return the names of the headers that the link leaves out."""
        return [name for name in self.cleaned_data["headers"] if name.lower() not in DECIDING]


def _minute(instant: str) -> str:
    return f"{datetime.fromisoformat(instant):%Y-%m-%d %H:%M:%S}" if instant else ""


def parse_headers(text: str) -> dict[str, str]:
    """Read `Name: value` lines.

    Raises:
        ValidationError: a line has no colon, or there are too many.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_NAMES:
        raise ValidationError(f"At most {MAX_NAMES} headers.")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValidationError(f"“{line.strip()[:60]}” is not a header: write Name: value.")
        headers[name.strip()] = value.strip()
    return headers


def describe(text: str, *, verified: bool) -> DescribedCertificate:
    """Read the pasted certificate. Unreadable text is passed on as it is: the decision says why it fails."""
    try:
        pasted = read_pasted(text)
    except UnreadableCertificate:
        return DescribedCertificate(text.strip(), verified)
    return DescribedCertificate(pasted.subject, verified, pasted.expires.isoformat() if pasted.expires else "")


@dataclass(frozen=True)
class TestedRequest:
    """A dry run as the page shows it."""

    run: DryRun
    trace: Sequence[TraceStep]
    not_reached: Sequence[tuple[int, str]]
    head: str
    body: str
    feed: Feed | None


def tested_request(run: DryRun) -> TestedRequest:
    trace = run.decision.trace
    last = trace[-1].step if trace else 0
    fields = "\n".join(f"{name}: {value}" for name, value in run.answer.headers)
    return TestedRequest(
        run=run,
        trace=trace,
        not_reached=[(step, question) for step, question in QUESTIONS.items() if step > last],
        head=f"HTTP/1.1 {run.answer.http}\n{fields}",
        body=run.answer.body.decode(errors="replace"),
        feed=_feed_of(run),
    )


def _feed_of(run: DryRun) -> Feed | None:
    if run.policy is None:
        return None
    return Feed.objects.filter(name=run.decision.feed).prefetch_related("certificate_rules").first()


def _advice(tested: TestedRequest, sample: RefusalSample | None, user: Any) -> Advice:
    """Return what would let the tested request in; nothing where it is let in."""
    decision = tested.run.decision
    if decision.accepted:
        return Advice()
    certificate = tested.run.request.certificate
    token = decision.token.name if decision.token else ""
    refused = RefusedRequest(decision.feed, decision.status.code, certificate, sample.pk if sample else None, token)
    return advise(refused, tested.feed, list(denials()), user, datetime.now(UTC))


def initial_of(sample: RefusalSample) -> dict[str, str]:
    """Fill the form from a recorded refusal."""
    headers: Mapping[str, Any] = sample.headers
    others = {name: value for name, value in headers.items() if name.lower() != "feed"}
    return {
        "feed": str(next((value for name, value in headers.items() if name.lower() == "feed"), sample.feed)),
        "headers": "\n".join(f"{name}: {value}" for name, value in others.items()),
        "presented": _presented(sample),
        "certificate": sample.sender_dn,
        "token": sample.sender_token,
    }


def _presented(sample: RefusalSample) -> str:
    if not sample.sender_dn:
        return "none"
    stopped = [step.get("step") for step in sample.trace if step.get("outcome") == "stop"]
    return "failed" if 5 in stopped else "verified"


class TestRequestMixin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Adds the page to the admin of feeds."""

    def test_view(self, request: HttpRequest) -> HttpResponse:
        """Answer a question; a feed or a sampled refusal in the address fills the form and is answered at once."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sample = _sample(request)
        form = TestRequestForm(_data(request, sample))
        asked = form.is_bound
        outcome = tested_request(dry_run(*form.question())) if asked and form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "title": "Test a request",
            "opts": self.opts,
            "form": form,
            "outcome": outcome,
            "advice": _advice(outcome, sample, request.user) if outcome else None,
            "link": form.link() if outcome and sample is None else "",
            "left_out": form.left_out() if outcome and sample is None else [],
            "sample": sample,
            "public_url": own_address(request),
            "feed_names": list(Feed.objects.order_by("name").values_list("name", flat=True)[:MAX_OFFERED]),
        }
        return TemplateResponse(request, "admin/feeds/feed/test.html", context)


def _sample(request: HttpRequest) -> RefusalSample | None:
    key = request.GET.get("sample", "")
    if not key:
        return None
    if not (key.isascii() and key.isdigit() and len(key) < 19):
        raise Http404("No such sample.")
    if not request.user.has_perm("feeds.view_refusalsample"):
        raise PermissionDenied
    sample = RefusalSample.objects.filter(pk=key).first()
    if sample is None:
        raise Http404("This sample is gone; only the latest are kept.")
    return sample


def _data(request: HttpRequest, sample: RefusalSample | None) -> Any:
    """Return what to bind the form to: the posted text, a sample, a feed's name, or nothing."""
    if request.method == "POST":
        return request.POST
    if sample is not None:
        return initial_of(sample)
    if "feed" in request.GET:
        asked = request.GET
        return {
            "feed": asked["feed"][:1000],
            "headers": "\n".join(f"{name.title()}: {asked[name]}" for name in DECIDING if name in asked),
            "presented": asked.get("presented", "none"),
            "certificate": asked.get("certificate", ""),
            "expires": asked.get("expires", ""),
            "token": asked.get("token", ""),
            "token_fails": asked.get("token_fails", ""),
        }
    return None
