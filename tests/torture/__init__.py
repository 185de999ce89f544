"""Proof by breaking things: ``make torture`` runs every scenario and prints what it did and found.

Each scenario is a module with ``run(folder, dice, number)``; ``rig`` is what they share. They drive
real engines, clients and sockets from outside, and know the engine's insides only by its files.
"""
