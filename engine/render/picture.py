"""What a picture is here: the type that painting, warping and judging share."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # RGB (height, width, 3)
