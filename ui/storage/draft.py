"""The storyboard that the user is composing, kept in the session across pages.

Widgets lose their values when another page is shown, so the draft holds them, and each widget is
drawn with the ``first`` value that it is to show. That goes along whenever it is drawn: a value put
into the session is told the browser once, and where that run is cut short, never; the browser
then sends the least it can. Whenever a program changes a value, its widget gets a new key: a
browser that had not yet heard of the change would otherwise send the old value back.
Pure but for the dictionary it is given; ``ui.storage.draft`` keeps it for the next visit.
"""

import secrets
import threading
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from engine.errors import InvalidParameterError, VisionFluxError
from engine.film.recipe import MAX_SCENES, Motion, Recipe, Scene, parse_recipe
from engine.models import Defaults
from ui.storage import files

State = MutableMapping[Any, Any]
T = TypeVar("T")
PREFIX = "draft-"
GATE = f"{PREFIX}gate"  # key of the switch
EMPTY = Scene(prompt=" ")
FILLER = "…"  # stands for a prompt that is not written yet
PLACED = ("retakes", "keyframes")  # what holds while scenes stay where they are
OWN = ("version", "scenes", "motion", "animatic", *PLACED)  # what is no setting
SETTINGS = tuple(name for name in Recipe.__struct_fields__ if name not in OWN)
SCENE = ("prompt", "seconds", "motion")
DRESS = ("camera", "start_image", "strength")  # what only some scenes have


class SavedDraft(msgspec.Struct, frozen=True):
    """A draft as it lies on the desk.

    ``empty`` names the scenes without a prompt; ``gate``: whether its keyframes come first;
    ``guessed``: whether its settings wait for the defaults of a model.
    """

    recipe: Recipe
    empty: tuple[int, ...] = ()
    locked: bool = False
    gate: bool = False
    guessed: bool = False


def begin(state: State, model: str, defaults: Defaults, *, guessed: bool = False) -> None:
    """Start an empty film with a model's defaults, unless one is being composed.

    ``guessed``: whether no engine has told yet what its models want.
    """
    if "draft" not in state:
        start_over(state, model, defaults)
        state["draft"]["guessed"] = guessed


def start_over(state: State, model: str, defaults: Defaults) -> None:
    """Start an empty film with a model's defaults."""
    empty = Recipe(scenes=(EMPTY,), model=model, seed=new_seed())
    load(state, msgspec.structs.replace(empty, **msgspec.structs.asdict(defaults)))
    state["draft"]["scenes"][0]["prompt"] = ""
    state["draft"]["locked"] = False


def is_blank(state: State) -> bool:
    """Tell whether nothing is written yet."""
    scenes = state["draft"]["scenes"]
    return len(scenes) == 1 and not scenes[0]["prompt"].strip()


def load(state: State, recipe: Recipe) -> None:
    """Replace the film being composed by what ``recipe`` says, its seed locked."""
    old = state.get("draft", {})
    before = old.get("turns", {})
    scenes = zip(recipe.scenes, recipe.motions, strict=True)
    state["draft"] = {
        "turns": {name: before.get(name, 0) + 1 for name in SETTINGS},  # in the widgets' keys
        "scenes": [
            _scene(scene.prompt, scene.seconds, motion, _dressed(scene)) for scene, motion in scenes
        ],
        "settings": {name: getattr(recipe, name) for name in SETTINGS},
        "placed": {name: getattr(recipe, name) for name in PLACED},
        "firsts": {},
        "locked": True,
        "gate": old.get("gate", False),
        "guessed": False,
    }


def take_up(state: State, kept: SavedDraft) -> None:
    """Go on with a draft that was kept, unless one is being composed."""
    if "draft" in state:
        return
    load(state, kept.recipe)
    for name in ("locked", "gate", "guessed"):
        state["draft"][name] = getattr(kept, name)
    for index, scene in enumerate(state["draft"]["scenes"]):
        if index in kept.empty:
            scene["prompt"] = ""


def put_down(state: State) -> SavedDraft | None:
    """Return the draft as it can be kept; None while no film can be made of it."""
    draft = state["draft"]
    try:
        recipe = recipe_of(state, filler=FILLER)
    except VisionFluxError:
        return None
    empty = (i for i, scene in enumerate(draft["scenes"]) if not scene["prompt"].strip())
    kept = {name: draft[name] for name in ("locked", "gate", "guessed")}
    return SavedDraft(recipe, tuple(empty), **kept)


def key(state: State, name: str) -> str:
    """Return the key of a setting's widget."""
    return f"{PREFIX}{name}-{state['draft']['turns'][name]}"


def scene_key(scene: dict[str, Any], name: str) -> str:
    """Return the key of a widget of a scene; ``name`` is one of ``SCENE``."""
    return f"{PREFIX}{name}-{scene['id']}"


def first(state: State, key: str, value: T) -> T:
    """Return what the widget of a key is drawn with: the draft's value when it first was."""
    firsts = state["draft"]["firsts"]
    if key not in state or key not in firsts:
        firsts[key] = value
    return cast(T, firsts[key])


def setting(state: State, name: str) -> dict[str, Any]:
    """Return the key and the first value of a setting's widget, as widgets take them."""
    at = key(state, name)
    return {"key": at, "value": first(state, at, state["draft"]["settings"][name])}


def choice(state: State, name: str, options: Iterable[str]) -> dict[str, Any]:
    """Return as ``setting`` does for a widget that takes the place among options."""
    found = setting(state, name)
    return {"key": found["key"], "index": list(options).index(found["value"])}


def of_scene(state: State, scene: dict[str, Any], name: str) -> dict[str, Any]:
    """Return as ``setting`` does for a widget of a scene; ``name`` is one of ``SCENE``."""
    at = scene_key(scene, name)
    return {"key": at, "value": first(state, at, scene[name])}


def keep(state: State) -> None:
    """Take the widgets' values into the draft."""
    draft = state["draft"]
    draft["gate"] = state.get(GATE, draft["gate"])
    for name in SETTINGS:
        draft["settings"][name] = state.get(key(state, name), draft["settings"][name])
    for scene in draft["scenes"]:
        for name in SCENE:
            value = state.get(scene_key(scene, name))
            scene[name] = scene[name] if value is None else value  # a motion can be unchosen


def put(state: State, **values: Any) -> None:
    """Change settings."""
    keep(state)
    draft = state["draft"]
    for name, value in values.items():
        if draft["settings"][name] != value:
            draft["settings"][name] = value
            draft["turns"][name] += 1


def adopt(state: State, defaults: Defaults) -> None:
    """Take over a model's defaults."""
    put(state, **msgspec.structs.asdict(defaults))


def lock(state: State, locked: bool) -> None:
    """Keep the seed for the next film, or have each film draw its own."""
    keep(state)
    state["draft"]["locked"] = locked


def submitted(state: State) -> None:
    """Have the next film draw another seed, unless this one is locked."""
    if not state["draft"]["locked"]:
        put(state, seed=new_seed())


def put_prompt(state: State, text: str) -> None:
    """Write an example into the first scene that is empty, else into the last one."""
    keep(state)
    scenes = state["draft"]["scenes"]
    empty = [scene for scene in scenes if not scene["prompt"].strip()]
    scene = (empty or scenes[-1:])[0]
    scene.update(_scene(text, scene["seconds"], scene["motion"], scene["own"]))


def add_scene(state: State) -> None:
    """Append an empty scene that lasts and moves as the one before it."""
    scenes, _ = _ordering(state)
    scenes.append(_scene("", scenes[-1]["seconds"], scenes[-1]["motion"]))


def copy_scene(state: State, scene_id: str) -> None:
    """Put a copy of a scene behind it, while there is room."""
    scenes, at = _ordering(state, scene_id)
    if len(scenes) < MAX_SCENES:
        scenes.insert(at + 1, _scene(*(scenes[at][name] for name in (*SCENE, "own"))))


def move_scene(state: State, scene_id: str, by: int) -> None:
    """Move a scene along the strip, as far as that goes."""
    scenes, at = _ordering(state, scene_id)
    scenes.insert(max(0, at + by), scenes.pop(at))


def dress(state: State, scene_id: str, **own: Any) -> None:
    """Give a scene a camera or a picture; None takes it away."""
    keep(state)
    for scene in state["draft"]["scenes"]:
        if scene["id"] == scene_id:
            scene["own"] = {k: v for k, v in {**scene["own"], **own}.items() if v is not None}


def drop_scene(state: State, scene_id: str) -> None:
    """Remove a scene; the last one is only emptied."""
    scenes, at = _ordering(state, scene_id)
    gone = scenes.pop(at)
    if not scenes:
        scenes.append(_scene("", gone["seconds"], gone["motion"]))


def recipe_of(state: State, filler: str = "") -> Recipe:
    """Return the recipe that the draft stands for; empty prompts count as ``filler``.

    Raises:
        InvalidParameterError: names the field that is not acceptable.
        LimitError: the film is too long.
    """
    draft = state["draft"]
    for index, scene in enumerate(draft["scenes"]):
        if not scene["prompt"].strip() and not filler:
            problem, remedy = "this scene is empty", "describe what it shows"
            raise InvalidParameterError(f"scenes[{index}].prompt", problem, remedy)
    scenes: list[dict[str, Any]] = [
        {
            "prompt": scene["prompt"].strip() or filler,
            "seconds": scene["seconds"],
            **msgspec.to_builtins(scene["own"]),
        }
        for scene in draft["scenes"]
    ]
    motions = [scene["motion"] for scene in draft["scenes"][1:]]
    common = motions[0] if len(set(motions)) == 1 else "morph"
    for scene, motion in zip(scenes[1:], motions, strict=True):
        if motion != common:
            scene["motion"] = motion
    recipe = parse_recipe({"scenes": scenes, "motion": common, **draft["settings"]})
    return msgspec.structs.replace(recipe, **draft["placed"])


def new_seed() -> int:
    """Return a random seed."""
    return secrets.randbelow(2**32)


def _dressed(scene: Scene) -> dict[str, Any]:
    """Return what a scene has that only some have."""
    image = scene.start_image is not msgspec.UNSET
    own = {name: getattr(scene, name) for name in DRESS if image or name != "strength"}
    return {name: value for name, value in own.items() if value is not msgspec.UNSET}


def _scene(
    prompt: str, seconds: float, motion: Motion, own: dict[str, Any] | None = None
) -> dict[str, Any]:
    scene_id = secrets.token_hex(4)
    whole = {"id": scene_id, "prompt": prompt, "seconds": float(seconds), "motion": motion}
    return {**whole, "own": {**(own or {})}}


def _ordering(state: State, scene_id: str = "") -> tuple[list[dict[str, Any]], int]:
    """Return the scenes, about to be ordered anew, and where one of them stands."""
    keep(state)
    state["draft"]["placed"] = {}
    scenes = state["draft"]["scenes"]
    return scenes, next((i for i, scene in enumerate(scenes) if scene["id"] == scene_id), 0)


class DraftFile:
    """Reads and writes the draft; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: SavedDraft | None = None
        self._writing = threading.Lock()

    def read(self) -> SavedDraft | None:
        """Return what lies there; a file that cannot be read counts as none."""
        with self._writing:
            if self._kept is None:
                self._kept = files.read_json(self._path, SavedDraft)
            return self._kept

    def write(self, kept: SavedDraft | None) -> None:
        """Keep a draft if there is one to keep and it is another than before."""
        with self._writing:
            if kept is not None and kept != self._kept:
                self._kept = kept
                files.write_json(self._path, kept)
