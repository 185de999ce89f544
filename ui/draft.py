"""The film that the user is composing, kept in the session across pages.

Widgets lose their values when another page is shown, so the draft holds them, and ``widgets``
puts them back before a page draws. Whenever a program changes a value, its widget gets a new key:
a browser that had not yet heard of the change would otherwise send the old value back.
Pure but for the dictionary it is given.
"""

import secrets
from collections.abc import MutableMapping
from typing import Any

import msgspec

from engine.errors import InvalidParameterError
from engine.models import Defaults
from engine.recipe import Recipe, Scene, parse_recipe

State = MutableMapping[Any, Any]
PREFIX = "draft-"
EMPTY = Scene(prompt=" ")
SETTINGS = tuple(name for name in Recipe.__struct_fields__ if name not in ("version", "scenes"))


def begin(state: State, model: str, defaults: Defaults) -> None:
    """Start an empty film with a model's defaults, unless one is being composed."""
    if "draft" not in state:
        empty = Recipe(scenes=(EMPTY,), model=model, seed=new_seed())
        load(state, msgspec.structs.replace(empty, **msgspec.structs.asdict(defaults)))
        state["draft"]["scenes"][0]["prompt"] = ""


def load(state: State, recipe: Recipe) -> None:
    """Replace the film being composed by what ``recipe`` says."""
    before = state.get("draft", {}).get("turns", {})
    state["draft"] = {
        "turns": {name: before.get(name, 0) + 1 for name in SETTINGS},  # in the widgets' keys
        "scenes": [_scene(scene.prompt, scene.seconds) for scene in recipe.scenes],
        "settings": {name: getattr(recipe, name) for name in SETTINGS},
    }


def key(state: State, name: str) -> str:
    """Return the key of a setting's widget."""
    return f"{PREFIX}{name}-{state['draft']['turns'][name]}"


def scene_key(scene: dict[str, Any], name: str) -> str:
    """Return the key of a widget of a scene; ``name`` is ``prompt`` or ``seconds``."""
    return f"{PREFIX}{name}-{scene['id']}"


def widgets(state: State) -> None:
    """Give every widget that has no value the draft's."""
    draft = state["draft"]
    for name, value in draft["settings"].items():
        state.setdefault(key(state, name), value)
    for scene in draft["scenes"]:
        for name in ("prompt", "seconds"):
            state.setdefault(scene_key(scene, name), scene[name])


def keep(state: State) -> None:
    """Take the widgets' values into the draft."""
    draft = state["draft"]
    for name in SETTINGS:
        draft["settings"][name] = state.get(key(state, name), draft["settings"][name])
    for scene in draft["scenes"]:
        for name in ("prompt", "seconds"):
            scene[name] = state.get(scene_key(scene, name), scene[name])


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


def put_prompt(state: State, text: str) -> None:
    """Write an example into the first scene that is empty, else into the last one."""
    keep(state)
    scenes = state["draft"]["scenes"]
    empty = [scene for scene in scenes if not scene["prompt"].strip()]
    scene = (empty or scenes[-1:])[0]
    scene.update(_scene(text, scene["seconds"]))


def add_scene(state: State) -> None:
    """Append an empty scene as long as the one before it."""
    keep(state)
    scenes = state["draft"]["scenes"]
    scenes.append(_scene("", scenes[-1]["seconds"]))


def drop_scene(state: State, scene_id: str) -> None:
    """Remove a scene."""
    keep(state)
    draft = state["draft"]
    draft["scenes"] = [scene for scene in draft["scenes"] if scene["id"] != scene_id]


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
    scenes = [
        {"prompt": scene["prompt"].strip() or filler, "seconds": scene["seconds"]}
        for scene in draft["scenes"]
    ]
    return parse_recipe({"scenes": scenes, **draft["settings"]})


def as_gif(recipe: Recipe) -> Recipe:
    """Return the recipe of the same film as a GIF; the engine reuses all of its pictures."""
    return msgspec.structs.replace(recipe, format="gif")


def new_seed() -> int:
    """Return a random seed."""
    return secrets.randbelow(2**32)


def _scene(prompt: str, seconds: float) -> dict[str, Any]:
    return {"id": secrets.token_hex(4), "prompt": prompt, "seconds": float(seconds)}
