"""The C allocator, told to keep large blocks, since the same sizes come back for every frame.

By default glibc returns every block over 128 KB (growing to 32 MB) to the system at once; the
next frame then pays for fresh, zeroed pages again. Elsewhere than on glibc this does nothing.
Knows nothing about torch.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 1 << 28  # bytes: 256 MB; larger blocks still go back to the system


def keep_large_blocks() -> bool:
    """Tune this process's allocator; returns whether it took the setting."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(option, KEPT) == 1 for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))
