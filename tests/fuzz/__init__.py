"""A fuzzer for the engine's sockets: ``python -m tests.fuzz --messages 100000``.

A real engine process with the stand-in worker is sent valid, mutated and unauthenticated messages
and raw bytes; a model of its jobs and objects says what the protocol promises as an answer.
"""
