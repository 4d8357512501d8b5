"""Receipt rules, the stamp by which workers see that they changed, and the counts of what they matched."""

import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.urls import reverse
from simple_history.models import HistoricalRecords

from feeds.history import ChangeContext
from feeds.models.names import FEED_NAME_LENGTH
from feeds.rules.receipt_rules import Action, BadCondition, Condition, OrderedRule, RuleSet, read_conditions

#: Rules at most, and the step between the positions of new ones.
MAX_RULES, STEP = 1000, 10
#: Characters of a sender in the counts.
MAX_SENDER = 200


def validate_conditions(records: Any) -> None:
    """Refuse conditions that no rule can have, in words an administrator can act on."""
    try:
        read_conditions(records)
    except BadCondition as fault:
        raise ValidationError("%(fault)s.", code="conditions", params={"fault": str(fault).capitalize()}) from fault


class ReceiptRuleStamp(models.Model):
    """One row whose value changes with every change of a rule: what a worker has read is right while it has it."""

    stamp = models.UUIDField(default=uuid.uuid4)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.stamp)

    @classmethod
    def renew(cls) -> None:
        """Let every worker read the rules again. Call it in the transaction that changes them."""
        cls.objects.update_or_create(pk=1, defaults={"stamp": uuid.uuid4()})


class ReceiptRule(models.Model):
    """A rule on what is received: the first enabled one, in the order of positions, whose conditions hold decides.

    `pending` is a change that waits for a second person, where second approval is on: the values that the rule
    would have, or an empty object for its removal.
    """

    class Actions(models.TextChoices):
        RECEIVE = Action.RECEIVE.value, "Receive: stop here, the feed decides"
        REJECT = Action.REJECT.value, "Reject"
        DROP = Action.DROP.value, "Drop"

    position = models.PositiveIntegerField(
        help_text="Rules are tried in this order, equal ones in the order of their age. The first match decides."
    )
    name = models.CharField(max_length=100)
    action = models.CharField(
        max_length=7,
        choices=Actions.choices,
        default=Actions.REJECT,
        help_text=(
            "Reject answers HTTP 406 with Stroom-Status 113, after which a forwarding stroom-proxy gives up. Drop "
            "answers 200 and throws the data away. Receive leaves it to the feed; no further rule is tried."
        ),
    )
    conditions = models.JSONField(default=list, blank=True, validators=[validate_conditions])
    enabled = models.BooleanField(default=True, help_text="A rule that is not enabled is not tried.")
    shadow = models.BooleanField(
        default=False, help_text="Count and show what the rule would match, without applying it."
    )
    expires = models.DateTimeField(
        null=True, blank=True, help_text="From this instant (UTC) the rule matches nothing."
    )
    comment = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)
    pending = models.JSONField(null=True, blank=True, editable=False)
    pending_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    pending_comment = models.CharField(max_length=1000, blank=True, editable=False)

    history = HistoricalRecords(
        bases=[ChangeContext], excluded_fields=["pending", "pending_by", "pending_comment", "created", "updated"]
    )

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__in=[action.value for action in Action]), name="receipt_rule_action_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and let the workers read the rules again."""
        with transaction.atomic():
            super().save(*args, **kwargs)
            ReceiptRuleStamp.renew()

    def get_absolute_url(self) -> str:
        return reverse("admin:feeds_receiptrule_change", args=[self.pk])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete, and let the workers read the rules again."""
        with transaction.atomic():
            ReceiptRuleStamp.renew()
            return super().delete(*args, **kwargs)

    def read(self) -> tuple[Condition, ...]:
        """Return the conditions.

        Raises:
            BadCondition: no version of ours has written them.
        """
        return read_conditions(self.conditions)

    def as_rule(self) -> OrderedRule:
        """Return the rule as decisions take it."""
        return OrderedRule(
            key=self.pk or 0,
            name=self.name,
            action=Action(self.action),
            conditions=self.read(),
            shadow=self.shadow,
            expires=self.expires,
        )


class ReceiptRuleMatch(models.Model):
    """Deliveries of one feed and sender that a rule matched in one hour; few senders of an hour are kept apart."""

    rule = models.ForeignKey(ReceiptRule, on_delete=models.CASCADE, related_name="matches")
    hour = models.DateTimeField(db_index=True, help_text="Start of the hour, UTC.")
    feed = models.CharField(max_length=FEED_NAME_LENGTH)
    sender = models.CharField(max_length=MAX_SENDER, help_text="DN, token, or address.")
    applied = models.BooleanField(help_text="False: the rule was in shadow, and nothing happened.")
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-hour", "feed", "sender"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["rule", "hour", "feed", "sender", "applied"], name="rule_match_once"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.feed} {self.sender}: {self.count}"


def rule_set(rules: Iterable[ReceiptRule]) -> RuleSet:
    """Return rules as decisions take them.

    Raises:
        BadCondition: no version of ours has written one.
    """
    return RuleSet(tuple(rule.as_rule() for rule in rules if rule.enabled))


#: The rules that this process has read, by the stamp that they had.
_read: list[tuple[Any, RuleSet]] = []


def rules_with(stamp: Any) -> RuleSet:
    """Return the rules; `stamp` is the value of the stamp in the same read as the policy, None without one."""
    if stamp is None:
        return _NONE
    for known, rules in _read:
        if known == stamp:
            return rules
    rules = rule_set(ReceiptRule.objects.filter(enabled=True).order_by("position", "pk"))
    _read[:] = [(stamp, rules)]
    return rules


_NONE = RuleSet()
