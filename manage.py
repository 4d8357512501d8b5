#!/usr/bin/env python
"""Entry point of every command."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    from portal.environment import BadEnvironment

    try:
        execute_from_command_line(sys.argv)
    except BadEnvironment as fault:
        sys.exit(f"The portal cannot start:\n{fault}")


if __name__ == "__main__":
    main()
