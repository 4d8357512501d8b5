"""Settings of the portal: one declarative table of environment variables.

`portal.environment` reads them, and `portal.settings_page` writes docs/settings.md from the same table. The parsers
of their values are in `portal.setting_values`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portal import setting_values as values


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Definition of one environment variable."""

    name: str
    #: The attribute of `Environment`; of the identity headers, a part of its `IdentityNames`.
    field: str
    #: Markdown for docs/settings.md.
    doc: str
    #: Used where the variable is missing or blank; a callable where it depends on the machine.
    default: str | Callable[[], str] = ""
    #: The default as docs/settings.md shows it, where it is not the value itself.
    shown_default: str = ""
    #: Returns the typed value; raises ValueError or OSError. None takes the text as it is, blanks included.
    parse: Callable[[str], Any] | None = None
    #: Ends the sentence "Give …" in the message about an unusable value.
    hint: str = ""
    #: The value never appears in a message: start-up messages end up in logs.
    secret: bool = False

    @property
    def default_value(self) -> str:
        return self.default if isinstance(self.default, str) else self.default()


def _usual_workers() -> str:
    return str(min(os.cpu_count() or 1, 4))


SETTINGS = (
    Setting(
        name="HOST",
        field="host",
        default="127.0.0.1",
        parse=values.host,
        hint="an address, a host name, or unix:/path/of/a/socket",
        doc="address to listen on; `unix:/run/stroom-portal/http.sock` for a Unix socket. A socket passed by "
        "systemd takes precedence over `HOST` and `PORT`. csh and conda set `HOST` themselves: the portal reports "
        "a value that is not an address of this machine, or is the machine's own name",
    ),
    Setting(
        name="PORT",
        field="port",
        default="8000",
        parse=values.port,
        hint="a port number from 1 to 65535",
        doc="TCP port to listen on; not used with a Unix socket",
    ),
    Setting(
        name="PORTAL_DATA_DIR",
        field="data_dir",
        default=values.default_data_dir,
        shown_default="`./var`",
        parse=values.existing_folder,
        hint="a folder that can be written",
        doc="all state: database, received data, the generated secret key",
    ),
    Setting(
        name="PORTAL_NEW_DATABASE",
        field="new_database",
        default="off",
        parse=values.new_database,
        hint="on, off or never",
        doc="`on`, for one start: accept a database without tables although the data folder belongs to an older "
        "one. `never`: no start creates a database, not even in an empty data folder, which may be a volume that "
        "is not mounted. See [Operating](operating.md)",
    ),
    Setting(
        name="DATABASE_URL",
        field="database_url",
        shown_default="SQLite in the data dir",
        parse=values.database_url,
        hint="empty for SQLite, or postgres://user:password@host/name",
        secret=True,
        doc="`postgres://user:password@host/name` for PostgreSQL",
    ),
    Setting(
        name="PORTAL_ADMIN_USERNAME",
        field="admin_username",
        default="admin",
        parse=values.username,
        hint="letters, digits and @.+-_",
        doc="name of the first administrator, who is created only when there is no other",
    ),
    Setting(
        name="PORTAL_ADMIN_PASSWORD",
        field="admin_password",
        shown_default="generated",
        secret=True,
        doc="password of the first administrator; a generated one is printed once",
    ),
    Setting(
        name="PORTAL_SECRET_KEY",
        field="secret_key",
        shown_default="generated once into the data dir",
        parse=values.secret_key,
        hint="empty (one is generated), or at least 50 random characters",
        secret=True,
        doc="signs sessions; at least 50 random characters. An empty, short or well-known key, also one in the "
        "data dir, stops the start",
    ),
    Setting(
        name="PORTAL_ALLOWED_HOSTS",
        field="allowed_hosts",
        default="localhost,127.0.0.1,[::1]",
        parse=values.hosts,
        hint="host names separated by commas, without *",
        doc="host names that pages, admin and API answer to. The wire endpoints and health checks ignore Host",
    ),
    Setting(
        name="PORTAL_PUBLIC_URL",
        field="public_url",
        shown_default="empty",
        parse=values.public_url,
        hint="empty, or an address such as https://portal.example.org",
        doc="address at which browsers reach the portal. An `https:` address turns on secure cookies and HSTS. "
        "Links in answers and the examples of `/docs/` use it; if it is empty, the address of the request",
    ),
    Setting(
        name="PORTAL_TRUSTED_PROXIES",
        field="trusted_proxies",
        shown_default="empty: none",
        parse=values.proxies,
        hint="addresses, networks such as 10.0.0.0/8, or unix, separated by commas",
        doc="addresses, networks, or `unix`, whose identity headers are trusted. `unix` means every process that "
        "can open the portal's Unix socket; on any other listener it has no effect",
    ),
    Setting(
        name="PORTAL_PROXY_DIALECT",
        field="dialect",
        default="nginx",
        parse=values.dialect,
        hint="nginx, apache, haproxy, envoy, traefik or aws-alb",
        doc="proxy in front of the portal: chooses the names of the identity headers and how their values are "
        "written; see [Behind nginx, Apache, …](behind.md). The next four settings change single names",
    ),
    Setting(
        name="PORTAL_DN_HEADERS",
        field="dn",
        shown_default="the dialect's: `X-SSL-CLIENT-S-DN`",
        parse=values.optional_headers,
        hint="header names",
        doc="headers that carry the certificate's DN. If several are named, each must be present with the same "
        "value; otherwise the certificate is not verified",
    ),
    Setting(
        name="PORTAL_VERIFY_HEADER",
        field="verify",
        shown_default="the dialect's: `X-SSL-Client-Verify`",
        parse=values.optional_header,
        hint="a header name",
        doc="header that carries the proxy's verification result. `envoy`, `traefik` and `aws-alb` state none: a "
        "certificate that they pass on counts as verified, unless this setting names a header",
    ),
    Setting(
        name="PORTAL_EXPIRY_HEADER",
        field="expiry",
        shown_default="the dialect's: `X-SSL-Client-V-End`",
        parse=values.optional_header,
        hint="a header name",
        doc="header that carries the end of the certificate's validity",
    ),
    Setting(
        name="PORTAL_CERTIFICATE_HEADER",
        field="certificate",
        shown_default="empty: none",
        parse=values.optional_header,
        hint="empty, or a header name",
        doc="header that carries the whole certificate: PEM with URL escapes or blanks for line ends, or base64. "
        "DN and end of validity are read from it. If `PORTAL_DN_HEADERS` is set too, both must agree",
    ),
    Setting(
        name="PORTAL_REQUIRE_VERIFY_HEADER",
        field="require_verify_header",
        default="on",
        parse=values.switch,
        hint="on or off",
        doc="a DN without a verification result counts as not verified",
    ),
    Setting(
        name="PORTAL_SENDER_TOKENS",
        field="sender_tokens",
        default="off",
        parse=values.switch,
        hint="on or off",
        doc="`on`: a token with the scope `send` identifies a sender as a client certificate does; see "
        "[Feeds](feeds.md#sender-tokens)",
    ),
    Setting(
        name="PORTAL_KEEPALIVE_SECONDS",
        field="keepalive_seconds",
        default="75",
        parse=values.keepalive,
        hint="a whole number of seconds from 1 to 3600",
        doc="seconds that an idle connection stays open for the next request, from 1 to 3600; longer than the idle "
        "time of every proxy and client pool in front of it, see [Operating](operating.md#idle-connections)",
    ),
    Setting(
        name="PORTAL_NODE_ID",
        field="node_id",
        default=values.default_node_id,
        shown_default="the host name",
        parse=values.node_id,
        hint="letters, digits and - only",
        doc="last part of receipt ids, followed by the worker's number; unique for each host",
    ),
    Setting(
        name="PORTAL_WORKERS",
        field="workers",
        default=_usual_workers,
        shown_default="the machine's cores, at most 4",
        parse=values.count,
        hint="a whole number from 1 to 64",
        doc="server processes",
    ),
    Setting(
        name="PORTAL_THREADS",
        field="threads",
        default="4",
        parse=values.count,
        hint="a whole number from 1 to 64",
        doc="threads for pages, admin and API in each process",
    ),
    Setting(
        name="PORTAL_MAX_RECEIPT_BYTES",
        field="max_receipt_bytes",
        shown_default="none",
        parse=values.positive_bytes,
        hint="empty, or a number of bytes",
        doc="limit on the size of a delivery, both as sent and unpacked; beyond it 413 with Stroom-Status 410",
    ),
    Setting(
        name="PORTAL_MIN_FREE_BYTES",
        field="min_free_bytes",
        shown_default="5 % of the disk, at least 1 GiB",
        parse=values.bytes_or_zero,
        hint="empty, or a number of bytes",
        doc="free disk space below which deliveries get 503 with Stroom-Status 999",
    ),
    Setting(
        name="PORTAL_FEED_NAME_PATTERN",
        field="feed_name_pattern",
        default="^[A-Z0-9_-]{3,}$",
        parse=values.pattern,
        hint="a regular expression",
        doc="regular expression that the names of new feeds must match",
    ),
    Setting(
        name="PORTAL_ANONYMOUS_RATE",
        field="anonymous_rate",
        default="12000",
        parse=values.rate,
        hint="requests a minute, or 0 for no limit",
        doc="requests to the catalogue API that one address (of IPv6, one /64) may make in a minute, counted over "
        "all server processes; beyond it 429. Answers from the response cache count too. 0: no limit",
    ),
    Setting(
        name="PORTAL_TOKEN_RATE",
        field="token_rate",
        default="60000",
        parse=values.rate,
        hint="requests a minute, or 0 for no limit",
        doc="requests to the REST API that one token may make in a minute, counted over all server processes; more "
        "get 429. With a valid token `PORTAL_ANONYMOUS_RATE` does not count. 0: no limit",
    ),
    Setting(
        name="PORTAL_CHANGE_COMMENT",
        field="change_comment_required",
        default="optional",
        parse=values.comment_required,
        hint="optional or required",
        doc="`required`: every change of a feed needs a reason, in the admin, over REST (`comment`) and by import",
    ),
    Setting(
        name="PORTAL_SECOND_APPROVAL",
        field="second_approval",
        default="off",
        parse=values.switch,
        hint="on or off",
        doc="`on`: a change of a feed's certificate policy or rules waits for another certificate officer; see "
        "[Second approval](second-approval.md)",
    ),
    Setting(
        name="PORTAL_SIGNIN_HEADER",
        field="signin_header",
        shown_default="empty: off",
        parse=values.optional_header,
        hint="empty, or a header name",
        doc="header in which a trusted proxy names the user it has signed in, such as `X-Remote-User`; see "
        "[Signing in](sign-in.md)",
    ),
    Setting(
        name="PORTAL_CORS_ORIGINS",
        field="cors_origins",
        shown_default="empty: none",
        parse=values.origins,
        hint="origins such as https://app.example.org, separated by commas",
        doc="origins whose scripts may use the REST API with a token; those of other sites may read the catalogue. "
        "Cookies are never allowed across sites",
    ),
    Setting(
        name="PORTAL_METRICS_READERS",
        field="metrics_readers",
        default="local,token",
        parse=values.metrics_readers,
        hint="off, or any of local, token, addresses and networks, separated by commas",
        doc="clients that may read `/metrics`: `local` (a program on this machine that connects directly), `token` "
        "(with the scope `read`, of a user who may view feeds and counts), addresses and networks, or `off`; see "
        "[Metrics](metrics.md)",
    ),
    Setting(
        name="PORTAL_METRICS_FEEDS",
        field="metrics_feeds",
        default="500",
        parse=values.feed_count,
        hint="a whole number from 0 to 10000",
        doc="number of feeds for which `/metrics` gives the time of the latest receipt",
    ),
    Setting(
        name="PORTAL_LOG_DELIVERIES",
        field="log_deliveries",
        default="on",
        parse=values.switch,
        hint="on or off",
        doc="log one line for each accepted delivery (received, dropped, empty) and for each refusal that is kept "
        "as an example; a flood of refusals does not fill the log",
    ),
    Setting(
        name="PORTAL_TRY_ENDPOINTS",
        field="try_endpoints",
        default="on",
        parse=values.switch,
        hint="on or off",
        doc="serve the `/try/` endpoints",
    ),
    Setting(
        name="PORTAL_DEBUG",
        field="debug",
        default="off",
        parse=values.switch,
        hint="on or off",
        doc="show Django's debug pages; refused with `PORTAL_PUBLIC_URL`, and where `HOST` is reachable from other "
        "machines",
    ),
)
