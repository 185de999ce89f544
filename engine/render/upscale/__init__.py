"""Enlarges pictures: with Real-ESRGAN's networks, or with any that spandrel knows.

``open_upscaler`` is what a render uses.
"""

from engine.render.upscale.upscaler import Upscaler, open_upscaler

__all__ = ["Upscaler", "open_upscaler"]
