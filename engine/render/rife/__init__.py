"""RIFE: frames between two pictures, with official weights, or by DIS optical flow.

``load_ifnet`` runs any official 4.x checkpoint; ``load_interpolator`` is what a render uses.
"""

from engine.render.rife.checkpoint import load_ifnet
from engine.render.rife.interpolator import Interpolator, load_interpolator
from engine.render.rife.similarity import Judgement
from engine.render.rife.video import Pace

__all__ = ["Interpolator", "Judgement", "Pace", "load_ifnet", "load_interpolator"]
