"""Protocol version 1: what goes between a client and an engine, and its limits. No sockets.

``docs/protocol.md`` describes it for those who write a client in another language. ``terms`` is
what both ends know beforehand, ``requests`` what clients say, ``answers`` what engines say,
``encoding`` turns both into bytes and back.
"""
