"""The admin site: titles, and room for columns."""

from django.contrib.admin import AdminSite


class PortalAdminSite(AdminSite):
    """Stock admin under our name. The side bar is off: lists need the width."""

    site_title = "Stroom portal"
    site_header = "Stroom portal"
    index_title = "Administration"
    enable_nav_sidebar = False
