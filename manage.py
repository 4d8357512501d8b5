#!/usr/bin/env python
"""Entry point of every command."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.core.management import BaseCommand


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import CommandError, ManagementUtility

    from portal.environment import BadEnvironment

    class Manager(ManagementUtility):
        """Checks what a command would work on, once the settings are read and before it begins."""

        def fetch_command(self, subcommand: str) -> BaseCommand:
            command = super().fetch_command(subcommand)
            from portal.guard import check_command

            check_command(self.argv)
            return command

    try:
        Manager(sys.argv).execute()
    except BadEnvironment as fault:
        sys.exit(f"The portal cannot start:\n{fault}")
    except CommandError as fault:
        sys.exit(f"{type(fault).__name__}: {fault}")


if __name__ == "__main__":
    main()
