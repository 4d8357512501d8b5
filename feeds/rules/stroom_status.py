"""The Stroom-Status values that this portal sends, and the names Stroom gives them on the wire.

Source: receipt contract, sections 5, 6 and 11. Nothing else in the project spells these names.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StroomStatus:
    """One outcome: its number, the HTTP status that goes with it, the fixed message, and Stroom's constant.

    `retry_after` is true where the cause passes by itself, so that the answer carries Retry-After.
    """

    code: int
    http: int
    message: str
    wire_name: str
    explanation: str
    retry_after: bool = False

    @property
    def accepted(self) -> bool:
        return self.code == 0


OK = StroomStatus(0, 200, "OK", "OK", "The data is stored.")
FEED_MUST_BE_SPECIFIED = StroomStatus(
    100,
    406,
    "Feed must be specified",
    "FEED_MUST_BE_SPECIFIED",
    "The request names no feed. Add a Feed header and send the same data again.",
)
FEED_NOT_RECEIVING = StroomStatus(
    110,
    406,
    "Feed is not set to receive data",
    "FEED_IS_NOT_SET_TO_RECEIVE_DATA",
    "This feed does not exist here or is set to reject data. Keep the data and ask the Stroom administrators.",
)
REJECTED_BY_RULES = StroomStatus(
    113,
    406,
    "Data has been rejected by the receipt policy rules",
    "REJECTED_BY_POLICY_RULES",
    "A rule refuses data with these headers. Keep the data and ask the Stroom administrators.",
)
UNKNOWN_COMPRESSION = StroomStatus(
    200,
    406,
    "Unknown compression",
    "UNKNOWN_COMPRESSION",
    "Compression must be ZIP, GZIP or NONE. Correct the header and send the same data again.",
)
CERTIFICATE_REQUIRED = StroomStatus(
    300,
    401,
    "Client Certificate Required",
    "CLIENT_CERTIFICATE_REQUIRED",
    "This feed takes data only over HTTPS with a client certificate. Send again with your certificate.",
)
CERTIFICATE_NOT_AUTHORISED = StroomStatus(
    310,
    403,
    "Client Certificate not authorised",
    "CLIENT_CERTIFICATE_NOT_AUTHENTICATED",
    "Your client certificate may not send to this feed. Keep the data and ask the Stroom administrators.",
)
TOKEN_OR_CERTIFICATE_REQUIRED = StroomStatus(
    302,
    401,
    "Client token or certificate required",
    "CLIENT_TOKEN_OR_CERT_REQUIRED",
    "This feed takes data only with a client certificate or a token. Send again with one of them.",
)
TOKEN_NOT_VALID = StroomStatus(
    311,
    401,
    "Client Token failed authentication",
    "CLIENT_TOKEN_NOT_AUTHENTICATED",
    "Your token is unknown, has expired, or is not one for sending. Get a new one and send the same data again.",
)
STREAM_INVALID = StroomStatus(
    400,
    500,
    "Compressed stream invalid",
    "COMPRESSED_STREAM_INVALID",
    "The data did not arrive as one whole, valid stream. Check it at the source and send it again.",
)
CONTENT_TOO_LARGE = StroomStatus(
    410,
    413,
    "Content too large",
    "CONTENT_TOO_LARGE",
    "The data is larger than this portal takes in one delivery. Send it in smaller parts.",
)
UNKNOWN_ERROR = StroomStatus(
    999,
    500,
    "Unknown error",
    "UNKNOWN_ERROR",
    "Something failed here and nothing was stored. Keep the data and send it again later.",
)
UNAVAILABLE = StroomStatus(
    999,
    503,
    "Unknown error",
    "UNKNOWN_ERROR",
    "The portal cannot take data right now. Keep the data and send it again after the time in Retry-After.",
    retry_after=True,
)
METHOD_NOT_ALLOWED = StroomStatus(
    999, 405, "Unknown error", "UNKNOWN_ERROR", "Data is sent with POST or PUT. Nothing was stored."
)
LENGTH_REQUIRED = StroomStatus(
    999,
    411,
    "Unknown error",
    "UNKNOWN_ERROR",
    "The request does not say where its data ends. Send it with Content-Length, or chunked. Nothing was stored.",
)
HEADERS_TOO_LARGE = StroomStatus(
    999, 431, "Unknown error", "UNKNOWN_ERROR", "The request's headers are too large. Nothing was stored."
)
CODING_NOT_SUPPORTED = StroomStatus(
    999,
    501,
    "Unknown error",
    "UNKNOWN_ERROR",
    "Of the transfer codings only chunked is supported. Nothing was stored.",
)
BAD_REQUEST = StroomStatus(
    999, 400, "Unknown error", "UNKNOWN_ERROR", "The request could not be read as HTTP. Nothing was stored."
)

#: Every outcome above.
ALL = tuple(value for value in list(globals().values()) if isinstance(value, StroomStatus))

FEED_IS_NOT_DEFINED_NAME = "FEED_IS_NOT_DEFINED"
FEED_IS_NOT_DEFINED_MESSAGE = "Feed is not defined"

#: The outcomes that the response-codes page of Stroom documents, by number.
DOCUMENTED = {
    status.code: status
    for status in (
        OK,
        FEED_MUST_BE_SPECIFIED,
        FEED_NOT_RECEIVING,
        UNKNOWN_COMPRESSION,
        CERTIFICATE_REQUIRED,
        CERTIFICATE_NOT_AUTHORISED,
        STREAM_INVALID,
        UNKNOWN_ERROR,
    )
}
#: A stroom-proxy never sends again after one of these (contract section 5).
FINAL_FOR_PROXIES = frozenset({100, 110, 113, 120})
