"""Composes the music of a film, and plays it: offline, with numpy only.

It knows prompts and times; it knows no recipe, no film and no file.
"""

from engine.music.composer import compose
from engine.music.instruments import RATE
from engine.music.player import length, render
from engine.music.score import Score

__all__ = ["RATE", "Score", "compose", "length", "render"]
