"""S29: requests made up from the description, right and wrong ones; every answer is one that it describes."""

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from django.conf import settings as portal_settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, settings
from pytest_django import DjangoDbBlocker
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance, response_schema_conformance

from codes import loading
from portal.access import sign_in
from tests.calls import Caller, superuser
from tests.factories import DN, make_feed, make_receipt

pytestmark = [pytest.mark.django_db]

#: Of each endpoint. Some hundreds make the twenty thousand of the threat model: FUZZ_EXAMPLES=530 (5 minutes of
#: processor time).
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
#: A wrong body may be refused for its size, or for an If-Match that does not hold, before it is looked at.
REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415"]

schema = schemathesis.openapi.from_wsgi(
    "/api/schema/?format=json",
    WSGIHandler(),
    config=SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}),
)


@schemathesis.serializer("application/zip", "text/csv", "application/octet-stream")
def raw(ctx: schemathesis.SerializationContext, value: object) -> bytes:
    """Files are sent as they were made up."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def catalogue(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        loading.load()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def caller(catalogue: None, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """An administrator, some data, and a database connection that outlives each request as in Django's client.

    Nobody is refused for asking often: what comes after would be answered 429, whatever it asks.
    """
    monkeypatch.setattr(sign_in, "SIGN_INS", sys.maxsize)
    monkeypatch.setattr(sign_in, "ALL_SIGN_INS", sys.maxsize)
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    logging.disable(logging.CRITICAL)
    make_feed("FEED-A", allow=[DN])
    make_receipt("FEED-A")
    yield superuser()
    logging.disable(logging.NOTSET)
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_s29_every_answer_is_described(case: Any, caller: Caller) -> None:
    """That right data is taken is not asked: a time may have passed, a name be used, whatever its shape."""
    wanted = replace(portal_settings.ENVIRONMENT, anonymous_rate=None, second_approval="/proposals" in case.path)
    # With `fields` an answer has some of the keys, all of which are required in the description.
    is_part = "fields" in (case.query or {})
    excluded = [positive_data_acceptance, *([response_schema_conformance] if is_part else [])]
    with override_settings(ENVIRONMENT=wanted):
        case.call_and_validate(headers=caller.headers, excluded_checks=excluded)
