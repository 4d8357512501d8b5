"""Texts as programs print them, each with the answers in them.

`406/110` is an HTTP status with its Stroom-Status, `503` an HTTP status alone, `/110` a Stroom-Status alone, `none`
says that no server answered. An empty text expects that nothing is found.
"""
