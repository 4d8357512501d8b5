from django.apps import AppConfig


class CodesConfig(AppConfig):
    name = "codes"
    verbose_name = "Status codes"

    def ready(self) -> None:
        from codes.search.finder import CODES
        from portal.search import FINDERS

        FINDERS.append(CODES)
