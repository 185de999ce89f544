"""Our own flat drawings, for subjects of which the art package has a head, a bust or nothing.

Each is the text of an SVG picture. Knows nothing about files, pixels or scenes.
"""

import re
from collections.abc import Callable

# Of "sitting-NAME": the head's picture, fur, belly and the inside of the tail's tip.
SITTING = {
    "fox": ("fox", "#ff822d", "#fff4e6", "#fff4e6"),
    "wolf": ("wolf", "#9b9b9b", "#d8d4dc", "#6b6878"),
    "bear": ("bear", "#a56953", "#d29b80", ""),
    "polar-bear": ("polar-bear", "#f0eef4", "#ffffff", ""),
    "panda": ("panda", "#433b6b", "#ffffff", ""),
    "koala": ("koala", "#9b9b9b", "#e6e6e6", ""),
    "lion": ("lion", "#f9c23c", "#fde3a0", "#6d4534"),
    "raccoon": ("raccoon", "#83808f", "#d3d3d3", "#433b4b"),
    "frog": ("frog", "#86d72f", "#e9f7b8", ""),
}
# Of "standing-NAME": the bust's picture, the colour of a robe or of legs, and of shoes.
STANDING = {
    "wizard": ("man-mage", "robe", "#0074ba", "#005b94"),
    "witch": ("woman-mage", "robe", "#0074ba", "#005b94"),
    "princess": ("princess", "robe", "#8d65c5", "#7a50b4"),
    "prince": ("prince", "legs", "#e6e6e6", "#6d4534"),
    "ninja": ("ninja", "legs", "#321b41", "#1c0f26"),
    "vampire": ("man-vampire", "legs", "#1c1c1c", "#321b41"),
    "superhero": ("woman-superhero", "legs", "#0074ba", "#ca0b4a"),
    "astronaut": ("astronaut", "legs", "#d3d3d3", "#9b9b9b"),
}
ROBE = """<path fill="{main}" d="M6 29.4h20l3.4 15.2a1 1 0 0 1-1 1.4H3.6a1 1 0 0 1-1-1.4z"/>
<path fill="{dark}" d="M13 29.4h6l1.4 16.6h-8.8z"/>"""
LEGS = """<path fill="{main}" d="M7.5 29.4h17v3l-1 11h-5.2l-1.5-9h-1.6l-1.5 9H8.5l-1-11z"/>
<path fill="{dark}" d="M8.3 42.5h5.6v3.5H6.6q0-3 1.7-3.5zM23.7 42.5h-5.6v3.5h7.3q0-3-1.7-3.5z"/>"""
SEAT = """<path fill="{fur}" d="M12 24C6 32 4 42 6.5 49.5q.5 1.5 2 1.5h23q1.5 0 2-1.5C36 42 34 32 28
24z"/><path fill="{belly}" d="M20 28c-5 0-8 7-8 14 0 5 3 9 8 9s8-4 8-9c0-7-3-14-8-14z"/>
<path fill="{fur}" d="M12.5 38h6v13h-8q-1-4 2-4zM27.5 38h-6v13h8q1-4-2-4z"/>"""
TAIL = """<path fill="{fur}" d="M31 49c9 2 15-3 15-10 0-5-3-9-5-9-2 3 1 6 0 9-1 4-6 5-11 4z"/>
<path fill="{tip}" d="M45.9 37.5c-.4-4.5-3.2-7.5-4.9-7.5-1.2 2-.4 4 0 6z"/>"""
ROBOT = """<path fill="#9b9bb0" d="M11 44h6v9h-7q-1-3 1-3zM29 44h-6v9h7q1-3-1-3z"/>
<path fill="#b4acbc" d="M3 31h5v12a2.5 2.5 0 0 1-5 0zM32 31h5v12a2.5 2.5 0 0 1-5 0z"/>
<path fill="#e1d8ec" d="M8 30h24v13q0 4-4 4H12q-4 0-4-4z"/>
<path fill="#00a6ed" d="M14 34h12v7H14z"/><path fill="#26eafc" d="M15 35h4v2h-4z"/>
<circle cx="24" cy="38.5" r="1.2" fill="#f92f60"/>"""
ALIEN = """<path fill="#86d72f" d="M17 28h6v5h-6z"/>
<path fill="#86d72f" d="M7 45l6-12 3 2-6 11zM33 45l-6-12-3 2 6 11z"/>
<path fill="#8d65c5" d="M14 31h12l1 13-1.5 8h-4L20 46l-1.5 6h-4L13 44z"/>
<path fill="#f9c23c" d="M13.2 42h13.6l.2 2.5H13z"/>"""
LIGHTHOUSE = """<path fill="#83808f" d="M2 58q2-6 8-6h16q7 0 9 6z"/>
<path fill="#f4f4f8" d="M12 20h12l3 34H9z"/>
<path fill="#f8312f" d="M11.4 27h13.2l.7 8H10.7zM10 43h16l.7 8H9.3z"/>
<path fill="#fcd53f" d="M13 11h10v8H13z"/><path fill="#fff3b0" d="M16 11h4v8h-4z"/>
<path fill="#ca0b4a" d="M11 11.5L18 4l7 7.5z"/><path fill="#433b6b" d="M10 18.5h16V21H10z"/>
<path fill="#6d4534" d="M16 54v-5a2 2 0 0 1 4 0v5z"/>"""
WINDMILL = """<path fill="#f3e4cf" d="M17 22h14l5 34H12z"/>
<path fill="#e0c9ab" d="M26 22h5l5 34h-8z"/>
<path fill="#a56953" d="M15.5 23L24 12l8.5 11z"/>
<path fill="#6d4534" d="M21 56v-7a3 3 0 0 1 6 0v7z"/>
<circle cx="24" cy="33" r="2.2" fill="#5092ff"/>
<g fill="#fff8ea" stroke="#a56953" stroke-width=".9"><path d="M25 19l17-14 4 5-19 11z"/>
<path d="M25.5 21l14 17-5 4-11-19z"/><path d="M23 21.5L6 35.5l-4-5L21 19.5z"/>
<path d="M22.5 19l-14-17 5-4 11 19z"/></g><circle cx="24" cy="20" r="2.4" fill="#6d4534"/>"""
BALLOON = """<path fill="#f8312f" d="M20 1C9 1 2 9 2 18c0 9 8 14 12 23h12c4-9 12-14 12-23C38 9 31 1
20 1z"/>
<path fill="#fcd53f" d="M20 1c-6 0-9 8-9 17 0 9 4 15 6 23h6c2-8 6-14 6-23 0-9-3-17-9-17z"/>
<path fill="#00a6ed" d="M20 1c-2.5 0-4 8-4 17 0 9 2 15 2.8 23h2.4C22 33 24 27 24
18c0-9-1.5-17-4-17z"/>
<path fill="#6d4534" d="M14.5 41h1.2l1 7h-1.2zM25.5 41h-1.2l-1 7h1.2z"/>
<path fill="#a56953" d="M14.5 47h11l-1 8q-.2 1-1.2 1h-6.6q-1 0-1.2-1z"/>
<path fill="#d3883e" d="M14.2 47h11.6v2.4H14.2z"/>"""
FLYING = """<path fill="#0074ba" d="M16 17L26 2c3 6 2 12-3 17z"/>
<path fill="#00a6ed" d="M3 15c3-5 9-5 12-1 5 1 12 3 21 0-2 6-9 11-17 11-8 0-13-4-16-10z"/>
<path fill="#e6f7ff" d="M6 19c3 4 8 6 13 6 3 0 6-.7 8.5-2C20 23 12 21 6 19z"/>
<path fill="#5fc3f5" d="M13 16L11 0c6 3 10 10 9 17z"/>
<path fill="#fcd53f" d="M4.5 13L0 15.5l5 1z"/><circle cx="8" cy="14.3" r="1.1" fill="#1c1c1c"/>"""
HORN = '<path fill="#fcd53f" d="M4.8 5.5L1.2 0l6 3.8z"/>'
WHITENED = {"#1c1c1c": "#c06ee8", "#6d4534": "#dcd6ea", "#8c5543": "#f4f0fb", "#a56953": "#fbf9ff"}
# The water that boats of the package carry with them; ours lie on the scene's own.
OWN_WATER = re.compile(r'<path fill="#(?:00a6ed|5092ff)" d="M30(?:\.\d+)? 2\dc-1\.75[^"]*"/>')


def picture_of(art: str, body_of: Callable[[str], str]) -> str:
    """Return the SVG text of a subject's art; `body_of` has the package's pictures, 32x32.

    Raises:
        KeyError: neither this module nor the package has it.
    """
    kind, _, name = art.partition("-")
    if kind == "sitting":
        return _sitting(*SITTING[name], body_of)
    if kind == "standing" and name == "alien":
        return _svg(40, 53, ALIEN + _part(body_of("alien"), 6, 1, 28))
    if kind == "standing":
        return _standing(*STANDING[name], body_of)
    if art == "whole-robot":
        return _svg(40, 54, ROBOT + _part(body_of("robot"), 4, 0, 32))
    if art == "whole-unicorn":
        return _svg(32, 32, _recoloured(body_of("horse"), WHITENED) + HORN)
    own = {"drawn-lighthouse": (37, 60, LIGHTHOUSE), "drawn-hot-air-balloon": (40, 57, BALLOON)}
    own |= {"drawn-windmill": (48, 58, WINDMILL), "flying-bird": (37, 27, FLYING)}
    if art in own:
        return _svg(*own[art])
    return _svg(32, 32, OWN_WATER.sub("", body_of(art)))


def _svg(width: int, height: int, body: str) -> str:
    space = 'xmlns="http://www.w3.org/2000/svg"'
    return f'<svg {space} viewBox="0 0 {width} {height}">{body}</svg>'


def _part(body: str, x: float, y: float, size: float) -> str:
    return f'<g transform="translate({x} {y}) scale({size / 32})">{body}</g>'


def _recoloured(body: str, colours: dict[str, str]) -> str:
    return re.sub("#[0-9a-f]{6}", lambda found: colours.get(found[0], found[0]), body)


def _sitting(head: str, fur: str, belly: str, tip: str, body_of: Callable[[str], str]) -> str:
    tail = TAIL.format(fur=fur, tip=tip) if tip else ""
    seat = SEAT.format(fur=fur, belly=belly)
    return _svg(48 if tip else 40, 52, tail + seat + _part(body_of(head), 4, 0, 32))


def _standing(bust: str, kind: str, main: str, dark: str, body_of: Callable[[str], str]) -> str:
    lower = (ROBE if kind == "robe" else LEGS).format(main=main, dark=dark)
    return _svg(32, 46, lower + _part(body_of(bust), 0, 0, 32))
