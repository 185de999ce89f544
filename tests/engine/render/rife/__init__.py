"""Rife."""
