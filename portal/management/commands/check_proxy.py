"""Send forged identity headers to the public address and report which of them reach the portal."""

import ssl
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.server.proxy_check import Address, CannotCheck, ProxyCheck, Report
from portal.server.proxy_probe import probe_key
from portal.text import counted

CANNOT_CHECK = 2


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        public = settings.ENVIRONMENT.public_url
        parser.add_argument(
            "url", nargs="?", default=public, help="the public address; PORTAL_PUBLIC_URL when left out"
        )
        parser.add_argument("--connect", default="", metavar="HOST[:PORT]", help="reach the address there")
        parser.add_argument("--ca", default=None, metavar="FILE", help="authority of the proxy's certificate")
        parser.add_argument("--insecure", action="store_true", help="take any certificate of the proxy")

    def handle(self, *args: Any, **options: Any) -> None:
        environment = settings.ENVIRONMENT
        if not options["url"]:
            raise CommandError("Which address? Give one, or set PORTAL_PUBLIC_URL.", returncode=CANNOT_CHECK)
        try:
            address = Address.of(options["url"], tls=self._tls(options), connect=options["connect"])
            with probe_key(environment.data_dir) as key:
                report = ProxyCheck(environment, address, key).run()
        except CannotCheck as fault:
            raise CommandError(str(fault), returncode=CANNOT_CHECK) from fault
        except OSError as fault:
            raise CommandError(
                f"{fault}. Run the command as the user of the portal, such as by stroom-portal-manage.",
                returncode=CANNOT_CHECK,
            ) from fault
        self._tell(report)

    def _tls(self, options: dict[str, Any]) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=options["ca"])
        if options["insecure"]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _tell(self, report: Report) -> None:
        for peer, trusted in report.peers.items():
            word = "believes" if trusted else "does not believe"
            self.stdout.write(f"The portal {word} its peer {peer} (PORTAL_TRUSTED_PROXIES).")
        for place in report.unseen:
            self.stdout.write(f"{place}: the proxy answers by itself, nothing gets to the portal.")
        for name, places in report.other.items():
            self.stdout.write(f"{name} arrives at {_some(places)}. The portal never reads that spelling.")
        for name, places in report.arrived.items():
            self.stderr.write(f"{name} arrives as the client sent it: {_some(places)}.")
        if report.arrived:
            raise CommandError(
                f"The proxy lets {counted(len(report.arrived), 'identity header')} of clients through. Set each of "
                "them in the proxy, also to nothing, for every address: docs/behind.md."
            )
        self.stdout.write(f"No identity header of a client gets through ({counted(report.probes, 'probe')}).")


def _some(places: list[str]) -> str:
    rest = len(places) - 3
    return ", ".join(places[:3]) + (f" and {rest} more" if rest > 0 else "")
