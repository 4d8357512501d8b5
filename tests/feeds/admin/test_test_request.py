"""The page "Test a request"."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse

from feeds.models import CertificateRule, Feed, HourlyCount, Receipt, RefusalSample
from feeds.receipt.dry_run import dry_run
from feeds.receipt.service import _sample
from tests.feeds.admin.admin_client import DN, signed_in

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 2, 24, tzinfo=UTC)


def ask(client: Any, **changes: str) -> str:
    form = {"feed": "PAYROLL-PROD", "headers": "", "presented": "none", "certificate": "", **changes}
    return client.post(reverse("admin:feeds_feed_test"), form).content.decode()


def make_sample(**changes: object) -> RefusalSample:
    values = {
        "at": datetime(2026, 2, 24, tzinfo=UTC),
        "feed": "PAYROLL-PROD",
        "http_status": 403,
        "stroom_status": 310,
        "receipt_id": "r1",
        "sender_dn": DN,
        "headers": {"Feed": "PAYROLL-PROD", "System": "Payroll"},
        "trace": [{"step": 6, "outcome": "stop", "explanation": "No unexpired allow rule matches."}],
        **changes,
    }
    return RefusalSample.objects.create(**values)


def test_the_page_shows_the_trace_and_the_exact_answer() -> None:
    Feed.objects.create(name="PAYROLL-PROD", certificate_policy="required")
    page = ask(signed_in("view_feed"), headers="Compression: GZIP")
    assert "HTTP 401 · Stroom 300 Client Certificate Required" in page
    assert (
        "Stroom-Error: Stroom Status 300 - Client Certificate Required [Feed: PAYROLL-PROD, Compression: GZIP]"
        in page
    )
    assert "Receipt: &lt;receipt id&gt;" in page
    assert "Are Compression and Content-Encoding supported?" in page


def test_nothing_is_stored_nor_counted() -> None:
    Feed.objects.create(name="PAYROLL-PROD")
    page = ask(signed_in("view_feed"))
    assert "The data would then be read, verified and stored" in page
    assert not Receipt.objects.exists()
    assert not HourlyCount.objects.exists()


def test_a_dropping_feed_says_so_here_alone() -> None:
    Feed.objects.create(name="PAYROLL-PROD", status="Drop")
    assert "thrown away: the feed is set to Drop" in ask(signed_in("view_feed"))


def test_a_certificate_can_be_described_as_not_verified() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    CertificateRule.objects.create(feed=feed, subject_dn=DN)
    client = signed_in("view_feed")
    assert "HTTP 200" in ask(client, presented="verified", certificate=DN)
    assert "HTTP 403 · Stroom 310" in ask(client, presented="failed", certificate=DN)
    assert "Paste the certificate" in ask(client, presented="verified")


def test_a_line_that_is_no_header_is_named() -> None:
    assert "“no colon here” is not a header" in ask(signed_in("view_feed"), headers="no colon here")


def test_a_sampled_refusal_fills_the_page_and_says_whether_it_would_be_refused_now() -> None:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    sample = make_sample()
    client = signed_in("view_feed", "view_refusalsample")
    url = reverse("admin:feeds_feed_test") + f"?sample={sample.pk}"
    page = client.get(url).content.decode()
    assert "it was answered <strong>HTTP 403 · Stroom 310</strong>" in page
    assert "the same" in page
    CertificateRule.objects.create(feed=feed, subject_dn=DN)
    page = client.get(url).content.decode()
    assert "Now it would be answered <strong>HTTP 200 · Stroom 0</strong>" in page
    assert "System: Payroll" in page


def test_a_refusal_for_a_failed_verification_is_asked_as_one() -> None:
    Feed.objects.create(name="PAYROLL-PROD", certificate_policy="required")
    sample = make_sample(trace=[{"step": 5, "outcome": "stop", "explanation": "not verified"}])
    client = signed_in("view_feed", "view_refusalsample")
    page = client.get(reverse("admin:feeds_feed_test") + f"?sample={sample.pk}").content.decode()
    assert "Now it would be answered <strong>HTTP 403 · Stroom 310</strong>" in page


def test_samples_and_feeds_need_their_own_rights() -> None:
    sample = make_sample()
    url = reverse("admin:feeds_feed_test")
    assert signed_in("view_feed").get(url, {"sample": sample.pk}).status_code == 403
    assert signed_in("view_receipt", username="other").get(url).status_code == 403


@pytest.mark.parametrize("key", ["x", "999999", "9" * 30])
def test_a_sample_that_is_gone_is_not_found(key: str) -> None:
    client = signed_in("view_feed", "view_refusalsample")
    assert client.get(reverse("admin:feeds_feed_test"), {"sample": key}).status_code == 404


def test_hostile_text_is_escaped() -> None:
    page = ask(signed_in("view_feed"), feed="<script>x</script>", headers="A: </pre><script>y</script>")
    assert "<script>x" not in page
    assert "<script>y" not in page


def test_a_refusal_for_its_compression_is_refused_again_when_it_is_asked_again() -> None:
    Feed.objects.create(name="PAYROLL-PROD")
    run = dry_run({"Feed": "PAYROLL-PROD", "Compression": "RAR", "Authorization": "Bearer secret"})
    sample = RefusalSample.objects.create(**vars(_sample(NOW, run.request, run.decision, "r1")))
    assert "secret" not in str(sample.headers)
    client = signed_in("view_feed", "view_refusalsample")
    page = client.get(reverse("admin:feeds_feed_test") + f"?sample={sample.pk}").content.decode()
    assert "Now it would be answered <strong>HTTP 406 · Stroom 200</strong>" in page
