"""How smooth a finished film is, in numbers; ``engine.render.video.smoothness`` finds them."""

import msgspec


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on a film; 0 is best everywhere.

    Attributes:
        flicker: what differs after motion is taken out, as a share of full white.
        jumps: places where the picture changes far faster than around them; cuts count.
        unevenness: spread of the speed at which the picture changes, as a share of its mean.
        brightness: how much brighter the end is than the beginning, a share of full white;
            negative where it is darker.
        colour: how far the end's mean colour is from the beginning's, on the same scale.
        duplicates: share of frames that repeat the one before.
    """

    flicker: float
    jumps: int
    unevenness: float
    brightness: float
    colour: float
    duplicates: float
