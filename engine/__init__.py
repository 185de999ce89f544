"""The VisionFlux engine: a recipe goes in, keyframes, segments and a film come out.

Everything here but ``engine.render`` works without torch.
"""

__version__ = "0.1.0"
