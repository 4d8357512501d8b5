from django.apps import AppConfig


class FeedsConfig(AppConfig):
    name = "feeds"
    verbose_name = "Stroom feeds"

    def ready(self) -> None:
        from django.db.models.signals import pre_delete, pre_save
        from simple_history.signals import post_create_historical_record, pre_create_historical_record

        from feeds.admin.finder import ALL
        from feeds.changes import approval_watch
        from feeds.history import add_context, fall_together
        from feeds.maintenance.identity import refuse_new_file
        from feeds.models import CertificateRule, Feed
        from portal.database.threads import NEW_FILE_CHECKS
        from portal.search import FINDERS

        pre_create_historical_record.connect(add_context, dispatch_uid="feeds.history.add_context")
        for signal, word in ((pre_save, "save"), (pre_delete, "delete")):
            signal.connect(approval_watch.before_feed, sender=Feed, dispatch_uid=f"feeds.approval.feed.{word}")
            signal.connect(
                approval_watch.before_rule, sender=CertificateRule, dispatch_uid=f"feeds.approval.rule.{word}"
            )
        pre_delete.connect(fall_together, sender=CertificateRule, dispatch_uid="feeds.history.fall_together")
        post_create_historical_record.connect(
            approval_watch.after_history, dispatch_uid="feeds.changes.approval.history"
        )
        NEW_FILE_CHECKS.append(refuse_new_file)
        FINDERS.extend(ALL)
