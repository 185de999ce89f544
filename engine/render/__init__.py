"""Drawing: keyframes, previews, in-betweens, encoding.

The only package that knows torch, diffusers and MoviePy; only the worker process imports it. It
knows nothing of jobs, sockets or the store.
"""

import os

# Read once by diffusers when it is imported: a model is data, never code.
os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"


class Cancelled(Exception):
    """Somebody asked to stop; an event rather than an error, so no VisionFluxError."""
