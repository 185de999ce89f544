"""Renders keyframes, previews, in-betweens and films.

The only package that knows torch, diffusers and MoviePy; only the worker process imports it. It
knows nothing of jobs, sockets or the store.
"""

import os

# Read once by diffusers when it is imported: a model is data, never code.
os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"
# Read once by torch's OpenMP when it is loaded: idle threads wait for some microseconds, then
# sleep. Spinning on, as by default, made small operations ten times slower beside another busy
# process; sleeping at once made RIFE a fifth slower on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # OpenMP libraries other than GNU's
# Their warnings are about optional parts, such as the absence of torchvision.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")


class Cancelled(Exception):
    """The job was cancelled: an event rather than an error, so no VisionFluxError."""
