"""Sentences that servers put into the body of an answer, each of one status alone: the number may be missing. Pure.

Read in the sources of Apache httpd, HAProxy, Tomcat, Werkzeug and Django REST Framework, and in the documents of IIS
and AWS.
"""

# ruff: noqa: E501 (a sentence stands in one line)

import re

from codes.explain.patterns import Words

_ANYTHING = "…"  # in a sentence: the method, the address and so on


def _said(code: int, sentence: str, counter_example: str) -> Words:
    """A sentence that is broken into lines anywhere; its example is the sentence itself."""
    written = r"\s{1,40}".join(re.escape(word) for word in sentence.split())
    written = written.replace(re.escape(_ANYTHING), r"[^\s<>]{1,200}?").replace('":"', r'":\s?"')
    pattern = re.compile(rf"(?<!\w){written}(?!\w)", re.IGNORECASE)
    return Words(code, pattern, sentence.replace(_ANYTHING, "POST"), counter_example, log=False)


BODIES: tuple[Words, ...] = (
    # Apache httpd
    _said(400, "Your browser sent a request that this server could not understand", "Your browser sent a request"),
    _said(
        401,
        "This server could not verify that you are authorized to access the document",
        "This server could not verify the document",
    ),
    _said(405, "The requested method … is not allowed for this URL", "The requested method is POST"),
    _said(
        406,
        "An appropriate representation of the requested resource could not be found on this server",
        "An appropriate representation was found",
    ),
    _said(408, "Server timeout waiting for the HTTP request from the client", "Server timeout of the client"),
    _said(
        410,
        "The requested resource is no longer available on this server and there is no forwarding address",
        "The requested resource is no longer there",
    ),
    _said(
        411, "A request of the requested method … requires a valid Content-length", "A request has a Content-length"
    ),
    _said(412, "The precondition on the request for this URL evaluated to false", "The precondition is false"),
    _said(
        413,
        "or the amount of data provided in the request exceeds the capacity limit",
        "the amount of data exceeds the limit",
    ),
    _said(414, "The requested URL's length exceeds the capacity limit for this server", "The URL's length is 2000"),
    _said(
        415,
        "The supplied request data is not in a format acceptable for processing by this resource",
        "The data is not in a format",
    ),
    _said(417, "field could not be met by this server", "the field was met by this server"),
    _said(
        421,
        "The client needs a new connection for this request as the requested host name does not match",
        "The client needs a new connection",
    ),
    _said(
        422,
        "The server understands the media type of the request entity, but was unable to process the contained instructions",
        "The server understands the media type",
    ),
    _said(426, "The requested resource can only be retrieved using SSL", "The resource was retrieved using SSL"),
    _said(
        429,
        "The user has sent too many requests in a given amount of time",
        "The user has sent an amount of requests",
    ),
    _said(
        431,
        "The server refused this request because the request header fields are too large",
        "The request header fields are large",
    ),
    _said(
        500,
        "The server encountered an internal error or misconfiguration and was unable to complete your request",
        "The server encountered a request",
    ),
    _said(
        502,
        "The proxy server received an invalid response from an upstream server",
        "The proxy server received a response",
    ),
    _said(502, "The proxy server could not handle the request", "The proxy server handled the request"),
    _said(
        503,
        "The server is temporarily unable to service your request due to maintenance downtime or capacity problems",
        "The server is able to service your request",
    ),
    _said(
        504,
        "The gateway did not receive a timely response from the upstream server or application",
        "The gateway received a timely response",
    ),
    # HAProxy
    _said(400, "Your browser sent an invalid request.", "Your browser sent a request."),
    _said(
        401, "You need a valid user and password to access this content.", "You need a valid user for this content."
    ),
    _said(403, "Request forbidden by administrative rules.", "Request by administrative rules."),
    _said(408, "Your browser didn't send a complete request in time.", "Your browser sent a request in time."),
    _said(
        502,
        "The server returned an invalid or incomplete response.",
        "The server returned a response that is complete.",
    ),
    _said(503, "No server is available to handle this request.", "A server is available to handle this request."),
    _said(504, "The server didn't respond in time.", "The server responded in time."),
    # IIS and http.sys
    _said(
        404,
        "is configured to deny a request that exceeds the request content length",
        "is configured for the content length",
    ),
    _said(
        403,
        "requires your browser to have a Secure Sockets Layer (SSL) client certificate that the Web server recognizes",
        "requires your browser to have a certificate",
    ),
    _said(400, "The request hostname is invalid.", "The request hostname is valid."),
    _said(411, "The request must be chunked or have a content length.", "The request is chunked."),
    # Tomcat
    _said(
        404,
        "The origin server did not find a current representation for the target resource",
        "The origin server found the target resource",
    ),
    _said(
        405,
        "The method received in the request-line is known by the origin server but not supported by the target resource",
        "The method received in the request-line is known",
    ),
    _said(
        500,
        "The server encountered an unexpected condition that prevented it from fulfilling the request",
        "The server encountered a condition",
    ),
    _said(
        503,
        "The server is currently unable to handle the request due to a temporary overload or scheduled maintenance",
        "The server is able to handle the request",
    ),
    # Werkzeug
    _said(
        404, "The requested URL was not found on the server. If you entered", "The requested URL was on the server."
    ),
    _said(404, "The requested URL was not found on this server", "The requested URL was found on this server"),
    _said(405, "The method is not allowed for the requested URL", "The method is allowed for the URL"),
    _said(
        413,
        "The data value transmitted exceeds the capacity limit",
        "The data value transmitted is at the capacity limit",
    ),
    _said(
        500,
        "The server encountered an internal error and was unable to complete your request",
        "The server was able to complete your request",
    ),
    # Django REST Framework
    _said(401, "Authentication credentials were not provided.", "Authentication credentials were provided."),
    _said(401, "Incorrect authentication credentials.", "Correct authentication credentials."),
    _said(403, "You do not have permission to perform this action.", "You have permission to perform this action."),
    _said(403, "CSRF Failed:", "CSRF passed:"),
    _said(404, '{"detail":"Not found."}', '{"detail":"Found."}'),
    _said(405, 'Method \\"…\\" not allowed.', 'Method \\"POST\\" is allowed.'),
    _said(405, 'Method "…" not allowed.', 'Method "POST" is allowed.'),
    _said(406, "Could not satisfy the request Accept header.", "The request has an Accept header."),
    _said(415, 'Unsupported media type \\"…\\" in request.', 'Supported media type \\"POST\\" in request.'),
    _said(415, 'Unsupported media type "…" in request.', 'Supported media type "POST" in request.'),
    _said(429, "Request was throttled.", "Request was sent."),
    # AWS API Gateway: nothing but the message
    _said(403, '{"message":"Missing Authentication Token"}', '{"message":"Authentication Token"}'),
    _said(403, '{"message":"Forbidden"}', '{"message":"Allowed"}'),
    _said(429, '{"message":"Limit Exceeded"}', '{"message":"Limit"}'),
    _said(429, '{"message":"Too Many Requests"}', '{"message":"Requests"}'),
    _said(500, '{"message":"Internal server error"}', '{"message":"Server"}'),
    _said(503, '{"message":"Service Unavailable"}', '{"message":"Service"}'),
    _said(504, '{"message":"Endpoint request timed out"}', '{"message":"Endpoint request"}'),
)
