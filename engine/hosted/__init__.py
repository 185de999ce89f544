"""What the notebook does on a hosted machine: packages, a check of the GPU, the engine, films.

The cells of ``VisionFlux_Engine.ipynb`` call these functions. The engine runs in a process of its
own that outlives the notebook's kernel; nothing here knows its messages. Only the standard
library is imported at first, because packages are installed later.
"""

from engine.hosted.display import drive, film, watch
from engine.hosted.process import Options, Trouble, start, stop
from engine.hosted.runtime import fetch_network, install, look_at_gpu, ngrok_token

__all__ = [
    "Options",
    "Trouble",
    "drive",
    "fetch_network",
    "film",
    "install",
    "look_at_gpu",
    "ngrok_token",
    "start",
    "stop",
    "watch",
]
