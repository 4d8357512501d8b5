"""The dry run says what a delivery would be answered."""

from datetime import UTC, datetime
from typing import Any

import pytest

from feeds.models import CertificateRule, Feed
from feeds.receipt.dry_run import DescribedCertificate, dry_run

pytestmark = pytest.mark.django_db

DN = "CN=client-a,OU=Test,O=Example,C=GB"
NOW = datetime(2026, 2, 24, tzinfo=UTC)


def make_restricted() -> Feed:
    feed = Feed.objects.create(name="PAYROLL-PROD", certificate_policy="restricted")
    CertificateRule.objects.create(feed=feed, subject_dn=DN)
    return feed


def test_an_accepted_request_shows_where_the_receipt_id_would_be() -> None:
    make_restricted()
    outcome = dry_run({"feed": "PAYROLL-PROD"}, DescribedCertificate(DN), now=NOW)
    assert (outcome.answer.http, outcome.answer.text) == (200, "<receipt id>\n")
    assert outcome.stores
    assert ("Stroom-Status", "0") in outcome.answer.headers


def test_a_dropped_request_is_answered_alike_but_stores_nothing() -> None:
    Feed.objects.create(name="NOISE", status="Drop")
    outcome = dry_run({"Feed": "NOISE"}, now=NOW)
    assert outcome.answer.text == "<receipt id>\n"
    assert not outcome.stores


@pytest.mark.parametrize(
    ("certificate", "http", "code"),
    [
        (None, 401, 300),
        (DescribedCertificate("  "), 401, 300),
        (DescribedCertificate(DN, verified=False), 403, 310),
        (DescribedCertificate(DN, expires="2026-02-23T00:00:00Z"), 403, 310),
        (DescribedCertificate(DN, expires="next year"), 403, 310),
        (DescribedCertificate("CN=client-b,OU=Test,O=Example,C=GB"), 403, 310),
        (DescribedCertificate("not a name"), 403, 310),
    ],
)
def test_certificates_are_judged_as_on_the_wire(
    certificate: DescribedCertificate | None, http: int, code: int
) -> None:
    make_restricted()
    outcome = dry_run({"Feed": "PAYROLL-PROD", "Compression": "gzip"}, certificate, now=NOW)
    assert (outcome.answer.http, outcome.decision.status.code) == (http, code)
    first = dict(outcome.answer.headers)["Stroom-Error"]
    assert first.endswith("[Feed: PAYROLL-PROD, Compression: gzip]")
    assert outcome.answer.text.startswith(first + "\n")
    assert outcome.answer.text.endswith("Receipt: <receipt id>\n")
    assert outcome.decision.trace[-1].outcome == "stop"


def test_identity_names_among_the_headers_do_not_count() -> None:
    make_restricted()
    outcome = dry_run({"Feed": "PAYROLL-PROD", "X-SSL-CLIENT-S-DN": DN, "RemoteDN": DN}, now=NOW)
    assert outcome.decision.status.code == 300
    assert "X-SSL-CLIENT-S-DN" in outcome.request.notes[0]


def test_no_feed_needs_no_database(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert dry_run({"Feed": " "}, now=NOW).decision.status.code == 100


def test_r30_while_the_feeds_are_lost_the_answer_is_that_of_a_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """It said 110, which is final, where a delivery is told to come back."""
    monkeypatch.setattr(type(Feed.objects), "are_lost", lambda _: True)
    outcome = dry_run({"Feed": "PAYROLL-PROD"}, now=NOW)
    assert (outcome.answer.http, outcome.decision.status.code) == (503, 999)
    assert not outcome.stores
    assert dry_run({}, now=NOW).decision.status.code == 100
