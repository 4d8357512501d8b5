from django.apps import AppConfig


class FeedsConfig(AppConfig):
    name = "feeds"
    verbose_name = "Stroom feeds"

    def ready(self) -> None:
        from simple_history.signals import pre_create_historical_record

        from feeds.history import add_context

        pre_create_historical_record.connect(add_context, dispatch_uid="feeds.history.add_context")
