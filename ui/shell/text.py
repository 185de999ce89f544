"""Formats sizes, times, durations and texts for people. The functions are pure."""

import time


def size(count: float) -> str:
    """Return a number of bytes as text, for example ``1.2 GB``."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{round(count, int(unit == 'MB' and count < 100)):g} {unit}"
        count /= 1000
    return f"{round(count, 1):g} GB"


def pixels(width: int, height: int) -> str:
    """Return the size of a picture as text, for example ``1920 × 1080 · Full HD``."""
    known = ((8_000_000, "4K"), (2_000_000, "Full HD"), (900_000, "HD"))
    name = next((f" · {name}" for least, name in known if width * height >= least), "")
    return f"{width} × {height}{name}"


def short(text: str, length: int = 90) -> str:
    """Return ``text`` in one line of at most ``length`` characters, cut after a word."""
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    words = line[:length].rpartition(" ")[0]
    cut = words if len(words) > length / 2 else line[: length - 1]  # a very long word is cut
    return cut.rstrip(" ,.;:→") + "…"


def plain(text: str) -> str:
    """Return ``text`` escaped, so that Streamlit's Markdown shows it literally."""
    special = set("\\`*_{}[]()<>#+-.!|~$:&")
    return "".join(f"\\{sign}" if sign in special else sign for sign in text)


def sentence(text: str) -> str:
    """Return ``text`` with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "." if text else ""


def ago(moment: float, now: float) -> str:
    """Return how long ago a moment was, as text; both times are Unix seconds."""
    past = now - moment
    for unit, seconds, most in (("day", 86400, 7), ("hour", 3600, 24), ("minute", 60, 60)):
        count = int(past // seconds)
        if 0 < count < most:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    if past < 60:
        return "just now"
    date = time.localtime(moment)
    return f"{date.tm_mday} {time.strftime('%b %Y', date)}"


def length(seconds: float) -> str:
    """Return a duration as text, for example ``3.5 min``."""
    units = (("s", 1), ("min", 60), ("h", 3600))
    unit, size = next((one for one in units if seconds < 90 * one[1]), units[-1])
    number = seconds / size
    return f"{number:.1f} {unit}" if size > 1 and number < 10 else f"{max(1, round(number))} {unit}"
