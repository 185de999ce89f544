"""The protocol: the messages between a client and an engine, and their limits. No sockets.

``docs/protocol.md`` describes it for those who write a client in another language. ``limits`` is
what both ends know beforehand, ``requests`` holds the messages of clients, ``responses`` those of
engines, and ``codec`` encodes and decodes both.
"""
