"""Reading of the settings: environment variables checked at start against `portal.settings_table`.

A fault in any setting stops the start, and every fault is reported at once with its remedy.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portal import setting_values as values
from portal.http.client import IdentityNames, TrustedProxies
from portal.injected import is_injected
from portal.setting_values import MetricsReaders
from portal.settings_table import SETTINGS, Setting

_USUAL_READERS = MetricsReaders(local=True, token=True)
BASE_DIR = Path(__file__).resolve().parent.parent
#: Ends the file of a generated secret key, without being part of it, until a start has created the database.
NEW_KEY_MARK = "\n\n\n"


class BadEnvironment(Exception):
    """One or more settings cannot be used; the text has one line for each, with its remedy."""


@dataclass(frozen=True)
class Environment:
    """Every setting of the portal after validation; sizes are in bytes."""

    host: str
    port: int
    data_dir: Path
    database_url: str
    admin_username: str
    admin_password: str
    secret_key: str
    allowed_hosts: tuple[str, ...]
    public_url: str
    trusted_proxies: TrustedProxies
    identity_headers: IdentityNames
    node_id: str
    workers: int
    threads: int
    max_receipt_bytes: int | None
    min_free_bytes: int | None
    feed_name_pattern: str
    try_endpoints: bool
    log_deliveries: bool
    require_verify_header: bool
    change_comment_required: bool = False
    second_approval: bool = False
    signin_header: str = ""
    anonymous_rate: int | None = None
    token_rate: int | None = None
    metrics_readers: MetricsReaders = _USUAL_READERS
    cors_origins: tuple[str, ...] = ()
    metrics_feeds: int = 500
    keepalive_seconds: int = 75
    sender_tokens: bool = False
    new_database: str = "off"
    debug: bool = False


def read_environment(environ: Mapping[str, str] | None = None, *, make_data_dir: bool = True) -> Environment:
    """Validate all settings.

    Args:
        environ: the variables; by default those of this process.
        make_data_dir: create the data folder where it is missing.

    Raises:
        BadEnvironment: one or more values are unusable; its text names each with the remedy.
    """
    environ = os.environ if environ is None else environ
    found, faults = _parse_all(environ, make_data_dir=make_data_dir)
    faults += [*_contradictions(found), *_unknown_names(environ)]
    if faults:
        raise BadEnvironment("\n".join(f"  {fault}" for fault in faults))
    headers = _identity_names(found)
    return Environment(identity_headers=headers, **found)


def _identity_names(found: dict[str, Any]) -> IdentityNames:
    """Take the names of the headers out of the settings: those of the dialect, where no other is set."""
    dialect: IdentityNames = found.pop("dialect")
    dn, certificate = found.pop("dn"), found.pop("certificate")
    return replace(
        dialect,
        dn=dn or (() if certificate else dialect.dn),
        verify=found.pop("verify") or dialect.verify,
        expiry=found.pop("expiry") or dialect.expiry,
        certificate=certificate,
        signin=found["signin_header"],
    )


def _parse_all(environ: Mapping[str, str], *, make_data_dir: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the value of each usable setting by its field, and one message for each other setting."""
    found: dict[str, Any] = {}
    faults = []
    for setting in SETTINGS:
        text = environ.get(setting.name, "")
        if setting.parse is None:
            found[setting.field] = text
            continue
        value = text.strip() or setting.default_value
        try:
            if setting.field == "data_dir" and make_data_dir:
                values.make_folder(value)
            found[setting.field] = setting.parse(value)
        except (ValueError, OSError, OverflowError, RuntimeError) as fault:
            faults.append(_fault(setting, value, fault))
    return found, faults


def _fault(setting: Setting, value: str, fault: Exception) -> str:
    shown = " cannot be used (its value is not shown)" if setting.secret else f"={value!r} cannot be used ({fault})"
    return f"{setting.name}{shown}. Give {setting.hint}."


def _contradictions(found: Mapping[str, Any]) -> list[str]:
    """Return one message for each pair of settings that are usable alone but not together.

    A setting that could not be parsed is missing here and contradicts none.
    """
    faults = []
    if found.get("signin_header") and found.get("trusted_proxies") == TrustedProxies():
        faults.append(
            "PORTAL_SIGNIN_HEADER needs PORTAL_TRUSTED_PROXIES: only a trusted proxy signs users in. Set both."
        )
    dialect = found.get("dialect")
    if dialect and dialect.unverified and dialect.unverified == found.get("certificate"):
        faults.append(
            f"PORTAL_CERTIFICATE_HEADER={dialect.unverified} is a certificate that the balancer does not verify. "
            f"Set it to verify certificates, and name {dialect.unverified}-leaf."
        )
    debug = "PORTAL_DEBUG shows internal details of the portal to every visitor. Remove it, or"
    if found.get("debug") and found.get("public_url"):
        faults.append(f"{debug} PORTAL_PUBLIC_URL.")
    if found.get("debug") and not values.is_local(found.get("host", "localhost")):
        faults.append(f"{debug} HOST.")
    return faults


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Return one message for each misspelt setting, which would otherwise be a silent default."""
    known = {setting.name for setting in SETTINGS}
    faults = []
    for name in sorted(environ):
        if not name.upper().startswith("PORTAL_") or name in known or is_injected(name, environ[name]):
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
        remedy = f"Did you mean {near[0]}?" if near else "Correct its name or remove it."
        faults.append(f"{name} is not a setting of the portal. {remedy}")
    return faults
