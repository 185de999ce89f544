"""Hosted."""
