import logging
import os

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PortalConfig(AppConfig):
    default = True
    name = "portal"
    verbose_name = "Access"

    def ready(self) -> None:
        from django.db.backends.signals import connection_created
        from django.db.models.signals import post_migrate

        from portal import injected
        from portal.access import roles
        from portal.audit import signals
        from portal.audit.finder import RECORDS
        from portal.database import caseless, timeouts
        from portal.search import FINDERS

        connection_created.connect(timeouts.limit, dispatch_uid="portal.database.timeouts.limit")
        connection_created.connect(caseless.define, dispatch_uid="portal.database.caseless.define")
        caseless.register()
        post_migrate.connect(roles.put_right, dispatch_uid="portal.access.roles.put_right")
        signals.connect()
        FINDERS.append(RECORDS)
        if passed_over := injected.warning(os.environ):
            logging.getLogger("portal.environment").warning("%s", passed_over)


class PortalAdminConfig(admin_apps.AdminConfig):
    """Django's admin with the portal's site as its default site."""

    default = False
    default_site = "portal.admin_site.PortalAdminSite"
