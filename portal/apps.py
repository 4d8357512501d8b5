from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PortalConfig(AppConfig):
    default = True
    name = "portal"
    verbose_name = "Access"


class PortalAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site in the place of the default one."""

    default = False
    default_site = "portal.admin_site.PortalAdminSite"
