"""Measurements, repeatable with `make bench`; figures are ratios taken in alternation within one run."""
