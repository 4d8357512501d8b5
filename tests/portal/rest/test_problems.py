"""Problems that no view foresees."""

import logging

import pytest
from django.db import OperationalError

from portal.repeated import RepeatedFaults
from portal.rest import problems


def test_a_database_that_is_away_is_logged_once_a_minute_not_once_a_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(problems, "_FAULTS", RepeatedFaults(logging.getLogger("portal.rest.problems")))
    answers = [problems.problem_handler(OperationalError(f"gone {number}"), {}) for number in range(20)]
    assert [answer.status_code for answer in answers if answer] == [503] * 20
    [record] = caplog.records
    assert "gone 0" in record.getMessage()
    assert record.exc_info is None
