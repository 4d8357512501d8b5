"""Changes that enter the audit record automatically.

Feeds, rules and retention policies enter through their history; users, roles and tokens through signals of Django.
Passwords and secrets never appear, only that they were changed.
"""

from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from simple_history.signals import post_create_historical_record

from portal.audit.record import record
from portal.models import ApiToken

ACTIONS = {"+": "created", "~": "changed", "-": "deleted"}
#: Fields that change by use, not by decision.
_BY_USE = frozenset({"last_login", "last_used", "version", "created", "updated", "date_joined"})
_SECRET = frozenset({"password", "digest"})
_KINDS: dict[type[Model], str] = {User: "user", Group: "role", ApiToken: "API token"}
_SETS = {
    User.groups.through: "roles",
    User.user_permissions.through: "permissions",
    Group.permissions.through: "rights",
}


def connect() -> None:
    """Connect every receiver, once."""
    uid = "portal.audit"
    post_create_historical_record.connect(on_history, dispatch_uid=f"{uid}.history")
    for model in _KINDS:
        name = model.__name__
        pre_save.connect(before_save, sender=model, dispatch_uid=f"{uid}.before.{name}")
        post_save.connect(after_save, sender=model, dispatch_uid=f"{uid}.saved.{name}")
        post_delete.connect(after_delete, sender=model, dispatch_uid=f"{uid}.deleted.{name}")
    for through in _SETS:
        m2m_changed.connect(after_set, sender=through, dispatch_uid=f"{uid}.set.{through.__name__}")


# --- feeds, rules, retention policies ---


def on_history(*, instance: Any, history_instance: Any, **_: Any) -> None:
    """Append the entry of a change when its row of history is written."""
    row = history_instance
    names = [field.attname for field in row.tracked_fields if field.name not in _BY_USE and field.name != "id"]
    present = {name: getattr(row, name) for name in names}
    old, new = _sides(row, names, present)
    if row.history_type == "~" and not new:
        return
    record(
        ACTIONS[row.history_type],
        kind=str(instance._meta.verbose_name),
        key=row.id,
        name=str(instance),
        old=old,
        new=new,
        comment=row.history_change_reason or "",
        actor=row.history_user.get_username() if row.history_user else "",
    )


def _sides(row: Any, names: list[str], present: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if row.history_type == "+":
        return {}, present
    if row.history_type == "-":
        return present, {}
    former = _former(row, names)
    changed = [name for name in names if name not in former or former[name] != present[name]]
    return {name: former[name] for name in changed if name in former}, {name: present[name] for name in changed}


def _former(row: Any, names: list[str]) -> dict[str, Any]:
    """Return the values before the change; a bulk change has them already."""
    known: dict[str, Any] | None = getattr(row, "known_before", None)
    if known is not None:
        return known
    earlier = type(row).objects.filter(id=row.id, history_id__lt=row.history_id).order_by("-history_id")
    return earlier.values(*names).first() or {}


# --- users, roles, tokens ---


def before_save(sender: type[Model], *, instance: Any, raw: bool = False, **_: Any) -> None:
    """Keep the values before a save for the entry after it."""
    if not raw and instance.pk is not None:
        instance._audit_before = sender._default_manager.filter(pk=instance.pk).first()


def after_save(sender: type[Model], *, instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    if raw:
        return
    before = None if created else getattr(instance, "_audit_before", None)
    old, new = ({}, _fields(instance)) if before is None else _differences(_fields(before), _fields(instance))
    secret = before is not None and any(
        getattr(before, name, None) != getattr(instance, name, None) for name in _SECRET
    )
    if secret:
        new["password"] = "(changed)"  # noqa: S105  # says so, and no more
    if created or new:
        record(
            "created" if created else "changed",
            kind=_KINDS[sender],
            key=instance.pk,
            name=str(instance),
            old=old,
            new=new,
        )


def after_delete(sender: type[Model], *, instance: Any, **_: Any) -> None:
    record("deleted", kind=_KINDS[sender], key=instance.pk, name=str(instance), old=_fields(instance))


def after_set(sender: Any, *, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **_: Any) -> None:
    """Append the entry of changed roles or permissions of a user or a role."""
    if action not in {"post_add", "post_remove", "pre_clear"} or (action != "pre_clear" and not pk_set):
        return
    names = _names(sender, instance, pk_set, reverse=reverse)
    if not names:
        return
    given = action == "post_add"
    record(
        "granted" if given else "revoked",
        kind=_KINDS.get(type(instance), "user"),
        key=instance.pk,
        name=str(instance),
        old={} if given else {_SETS[sender]: names},
        new={_SETS[sender]: names} if given else {},
    )


def _names(sender: Any, instance: Any, keys: set[int] | None, *, reverse: bool) -> list[str]:
    """Return the names on the other side of the relation; for a removal of all, all current names."""
    if reverse:
        users = User.objects.filter(pk__in=keys or ())
        return sorted(str(user) for user in users) if sender is not Group.permissions.through else []
    model: Any = Group if sender is User.groups.through else Permission
    chosen = model.objects.filter(pk__in=keys) if keys is not None else _present(sender, instance)
    return sorted(str(item) for item in chosen)


def _present(sender: Any, instance: Any) -> Any:
    if sender is User.groups.through:
        return instance.groups.all()
    return instance.user_permissions.all() if isinstance(instance, User) else instance.permissions.all()


def _fields(instance: Any) -> dict[str, Any]:
    return {
        field.name: getattr(instance, field.attname)
        for field in instance._meta.concrete_fields
        if field.name not in _BY_USE | _SECRET and field.name != "id"
    }


def _differences(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    changed = [name for name in new if old.get(name) != new[name]]
    return {name: old.get(name) for name in changed}, {name: new[name] for name in changed}
