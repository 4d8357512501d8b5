#!/usr/bin/env python
"""Entry point of every command."""

import sys

from portal.command_line import main

if __name__ == "__main__":
    main(sys.argv)
