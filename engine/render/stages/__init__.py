"""How the pieces of each stage are made: a module for each, named as the stage, with ``make``.

A stage's module is imported when its first piece is to be made. The stages themselves are listed
in ``engine.film.stages``.
"""

from importlib import import_module

from engine.render.stages.context import Context, Make


def load(stage: str) -> Make:
    """Return the function that makes a stage's pieces."""
    make: Make = import_module(f"engine.render.stages.{stage}").make
    return make


__all__ = ["Context", "Make", "load"]
