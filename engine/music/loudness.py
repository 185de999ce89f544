"""Measures loudness and true peak, and limits peaks. It knows samples, no music.

Loudness is that of ITU-R BS.1770-4, in LUFS; the true peak that of its annex 2, of four times as
many samples.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.music.instruments import RATE

Stereo = NDArray[np.float32]  # (length, 2)
# Tables 1 and 2 of BS.1770-4, for 48 kHz: the head's shelf, then the high-pass.
SHELF = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285),
    (-1.69065929318241, 0.73248077421585),
)
PASS = (1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)
GATE, RELATIVE_GATE = -70.0, -10.0  # LUFS, LU
WINDOW, HOP = 19_200, 4_800  # samples: 400 ms, of which three quarters overlap
SETTLING = RATE // 5  # samples after which the filters have forgotten what was
BLOCK = 2**17  # samples that are filtered at once
TAPS = 32  # samples between which the true peak is found
AT_ONCE = 2**15  # samples around which it is looked for
LOOKAHEAD = 240  # samples, 5 ms, within which the limiter reacts


def loudness(sound: Stereo) -> float:
    """Return the integrated loudness in LUFS; minus infinity for silence."""
    powers = _hop_powers(sound)
    count = WINDOW // HOP
    if len(powers) < count:
        windows = powers.mean(keepdims=True)
    else:
        windows = np.convolve(powers, np.full(count, 1 / count), "valid")
    loud = windows[_lufs(windows) > GATE]
    if not len(loud):
        return float("-inf")
    louder = loud[_lufs(loud) > float(_lufs(loud.mean())) + RELATIVE_GATE]
    return float(_lufs(louder.mean()))


def _lufs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-20))


def _hop_powers(sound: Stereo) -> NDArray[np.float64]:
    """Return the weighted power of each 100 ms, both channels together; a short rest counts."""
    weight = _weighting(BLOCK)
    step = (BLOCK - SETTLING) // HOP * HOP
    found = []
    for first in range(0, len(sound), step):
        begin = max(0, first - SETTLING)
        some = np.ascontiguousarray(sound[begin : first + step].T)
        heard = np.fft.irfft(np.fft.rfft(some, BLOCK) * weight, BLOCK)
        heard = heard[:, first - begin : some.shape[1]]
        whole = heard.shape[1] // HOP * HOP or heard.shape[1]
        power = np.square(heard[:, :whole], dtype=np.float64).sum(axis=0)
        found.append(power.reshape(-1, min(HOP, whole)).mean(axis=1))
    return np.concatenate(found)


def _weighting(size: int) -> NDArray[np.complex64]:
    """Return the filters' frequency response at the places of a real FFT."""
    back = np.exp(-2j * np.pi * np.fft.rfftfreq(size))  # a delay of one sample
    response = np.ones(len(back), np.complex128)
    for (b0, b1, b2), (a1, a2) in (SHELF, PASS):
        response *= (b0 + b1 * back + b2 * back**2) / (1 + a1 * back + a2 * back**2)
    return np.asarray(response, np.complex64)


def peaks(sound: Stereo, least: float = 0.0) -> NDArray[np.float32]:
    """Return the true peak around each sample, over both channels.

    Args:
        sound: any.
        least: samples that are not above it are taken as they are.
    """
    found = np.maximum(np.abs(sound[:, 0]), np.abs(sound[:, 1]))
    between = _between()
    for channel in range(2):
        line = np.pad(sound[:, channel], (TAPS // 2, TAPS // 2))
        places = np.flatnonzero(np.abs(sound[:, channel]) > least)
        for first in range(0, len(places), AT_ONCE):
            some = places[first : first + AT_ONCE]
            around = line[some[:, None] + np.arange(TAPS + 1)]
            found[some] = np.maximum(found[some], np.abs(around @ between).max(axis=1))
    return found


def _between() -> NDArray[np.float32]:
    """Return windowed sincs ``(TAPS + 1, 6)`` for the quarters of a sample on either side."""
    offsets = np.arange(TAPS + 1)[:, None] - TAPS // 2
    quarters = np.array([-0.75, -0.5, -0.25, 0.25, 0.5, 0.75])
    away = offsets - quarters
    window = np.cos(np.clip(away / (TAPS // 2 + 1), -1, 1) * np.pi / 2) ** 2
    return np.asarray(np.sinc(away) * window, np.float32)


def true_peak(sound: Stereo) -> float:
    """Return the true peak in dBTP."""
    return float(20 * np.log10(max(1e-10, peaks(sound).max())))


def normalise(
    sound: Stereo, target: float, ceiling: float, *, loops: bool, check: Callable[[], None]
) -> None:
    """Bring a piece to a loudness, in place, with no true peak above a ceiling.

    Args:
        sound: a whole piece.
        target: LUFS.
        ceiling: dBTP.
        loops: whether its end leads into its beginning.
        check: is called now and then; may raise.
    """
    measured = loudness(sound)
    if measured < GATE:
        return
    most = 10 ** (ceiling / 20)
    gain = 10 ** ((target - measured) / 20)
    high = peaks(sound, least=0.6 * most / gain)
    limits = np.ones(len(sound), np.float32)
    for _ in range(4):
        check()
        limits = _limits(high * np.float32(gain), most, loops=loops)
        if limits.min() == 1:
            break
        lost = target - loudness(sound * (np.float32(gain) * limits)[:, None])
        gain *= 10 ** (lost / 20)
        if abs(lost) < 0.05:
            break
    sound *= (np.float32(gain) * _limits(high * np.float32(gain), most, loops=loops))[:, None]


def _limits(high: NDArray[np.float32], most: float, *, loops: bool) -> NDArray[np.float32]:
    """Return the gain of each sample that keeps peaks below ``most``, without steps."""
    wanted = np.minimum(1.0, most / np.maximum(high, 1e-9)).astype(np.float32)
    if wanted.min() == 1:
        return wanted
    wide = np.pad(wanted, 2 * LOOKAHEAD, mode="wrap" if loops else "edge")
    span, reach = 1, 2 * LOOKAHEAD + 1
    while span < reach:  # the least of each window, by doubling
        step = min(span, reach - span)
        wide = np.minimum(wide[:-step], wide[step:])
        span += step
    smooth = _mean(_mean(wide.astype(np.float64)))  # a triangle
    return np.asarray(np.minimum(1.0, smooth), np.float32)


def _mean(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean around each place; as many places fewer as the limiter looks ahead."""
    sums = np.cumsum(np.pad(line, (1, 0)))
    return (sums[LOOKAHEAD + 1 :] - sums[: -LOOKAHEAD - 1]) / (LOOKAHEAD + 1)
