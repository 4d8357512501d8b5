"""The public pages that browser tests visit, and how they are fetched without a browser."""

import http.client
from contextlib import closing

from benchmarks.portal import Portal

#: One page for each template: tried at every width.
TEMPLATES = [
    "/",
    "/codes/",
    "/codes/?q=1020",
    "/codes/http/4xx/",
    "/codes/http/503/",
    "/codes/http/451/",
    "/codes/http/12/",
    "/codes/stroom/310/",
    "/codes/lookup/?http=403&stroom=310",
    "/codes/explain/",
    "/codes/compare/?codes=301,302,307,308",
    "/codes/disagreements/",
    "/codes/sources/",
    "/codes/sources/http-status-workshop/",
    "/codes/vendors/",
    "/codes/vendors/nginx/",
    "/codes/headers/",
    "/codes/headers/retry-after/",
    "/codes/data/",
    "/docs/",
    "/docs/settings/",
]
#: The same templates with other content: tried at one width.
VARIANTS = [
    "/codes/?q=too+large",
    "/codes/?q=no+such+thing+at+all",
    "/codes/?q=502+503+504+cloudflare",
    "/codes/?retry=often&sort=name",
    "/codes/http/",
    "/codes/http/404/",
    "/codes/http/451/microsoft/",
    "/codes/http/499/",
    "/codes/http/471/",
    "/codes/http/799/",
    "/codes/stroom/",
    "/codes/stroom/110/",
    "/codes/stroom/315/",
    "/codes/stroom/555/",
    "/codes/lookup/",
    "/codes/lookup/?http=404&stroom=310",
    "/codes/compare/",
    "/codes/sources/?q=iana",
    "/docs/sending-data/",
]
PAGES = [*TEMPLATES, *VARIANTS]
NARROW = 360


def fetch(portal: Portal, path: str) -> tuple[bytes, http.client.HTTPMessage]:
    """Return the body as it came over the wire, and the headers."""
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        return answer.read(), answer.headers
