#!/usr/bin/env python
"""Entry point of every command."""

import sys

from portal.management.main import main

if __name__ == "__main__":
    main(sys.argv)
