"""What HTTP/3 and QUIC show in place of a status, in the search and in the explanation."""

import pytest
from django.test import Client

from codes.explain.faults import HTTP3_FAULTS, cause_of
from codes.search.remarks import remarks_on

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]


@pytest.mark.parametrize(
    "text",
    [
        "curl: (95) HTTP/3 stream 0 reset by server (error 0x10c REQUEST_CANCELLED)",
        "curl: (96) QUIC connection error",
        "ERR_QUIC_PROTOCOL_ERROR",
        "net::ERR_QUIC_PROTOCOL_ERROR 200 (OK)",
        "NS_ERROR_NET_HTTP3_PROTOCOL_ERROR",
        "H3_REQUEST_CANCELLED",
        "Application error 0x10c (remote)",
        "timeout: no recent network activity",
        "quic protocol error",
    ],
)
def test_issue_quic_an_error_of_http3_is_named_with_what_to_do(text: str, site: Client) -> None:
    assert cause_of(text) == HTTP3_FAULTS[1].sentence
    (remark,) = remarks_on(text)
    assert "keep the data" in remark.text
    assert "/codes/http/503/#http3" in [address for _, address in remark.links]
    html = site.post("/codes/explain/", {"text": text}).content.decode()
    assert "curl --http1.1" in html
    assert "Take it as done" not in html


@pytest.mark.parametrize(
    "text",
    [
        "H3_REQUEST_REJECTED",
        "net::ERR_QUIC_GOAWAY_REQUEST_CAN_BE_RETRIED",
        "* HTTP/3 stream 4 refused by server, try again on a new connection",
    ],
)
def test_issue_quic_a_rejected_request_counts_as_never_sent(text: str, site: Client) -> None:
    assert cause_of(text) == HTTP3_FAULTS[0].sentence
    assert "counts as never sent" in site.post("/codes/explain/", {"text": text}).content.decode()
