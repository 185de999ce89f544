"""The storyboard that the user is composing: a ``Draft`` in the session, for all pages.

Streamlit drops the values of widgets when another page is shown, so the draft holds them. In every
run each widget is drawn with the value that the draft had when the widget first appeared
(``first``), because Streamlit sends a value that was set through the session to the browser only
once, and not at all if that run is interrupted. When the app changes a value, its widget gets a new
key; otherwise a browser that has not received the change would send the old value back.

The functions change only the session that they are given. They write nothing to disk.
"""

import secrets
from collections.abc import Iterable, MutableMapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import UNSET, structs

from engine.errors import InvalidParameterError, VisionFluxError
from engine.film import recipe as recipes
from engine.film.fields import fields_of
from engine.film.recipe import MAX_SCENES, Camera, Motion, Recipe, Scene
from engine.film.recipe_json import parse_recipe
from engine.models import Defaults

State = MutableMapping[Any, Any]
T = TypeVar("T")
PREFIX = "draft-"  # of the keys of widgets
KEYFRAMES_FIRST_KEY = f"{PREFIX}gate"
UNDO_KEY = f"{PREFIX}undo"
FILLER = "…"  # replaces an empty prompt
NO_SCENES = (Scene(prompt=FILLER),)  # of a recipe whose scenes do not matter
SETTINGS = tuple(name for name in recipes.SETTINGS if name != "motion")  # scenes have their own
SCENE_FIELDS = ("prompt", "seconds", "motion")  # that have a widget on the scene's card


def new_id() -> str:
    """Return an id for a scene."""
    return secrets.token_hex(4)


@dataclass
class SceneDraft:
    """A scene on the storyboard.

    Attributes:
        camera: None if it does not move.
        start_image: SHA-256 of the image that the scene begins from; "" if there is none.
        strength: how far the first keyframe may differ from that image.
        id: letters and digits, part of the keys of the scene's widgets.
    """

    prompt: str
    seconds: float
    motion: Motion
    camera: Camera | None = None
    start_image: str = ""
    strength: float = fields_of(Scene)["strength"].default
    id: str = field(default_factory=new_id)

    @property
    def values(self) -> tuple[object, ...]:
        """What the user has given for it."""
        picture = self.start_image, self.strength
        return self.prompt.strip(), self.seconds, self.motion, self.camera, *picture

    @property
    def empty(self) -> bool:
        """Whether the scene has no prompt yet."""
        return not self.prompt.strip()

    def to_scene(self, motion: Motion | msgspec.UnsetType, filler: str) -> Scene:
        """Return the scene of a recipe; ``filler`` replaces an empty prompt."""
        scene = Scene(
            prompt=self.prompt.strip() or filler,
            seconds=self.seconds,
            motion=motion,
            camera=self.camera or UNSET,
            start_image=self.start_image or UNSET,
        )
        return structs.replace(scene, strength=self.strength) if self.start_image else scene


@dataclass
class Draft:
    """The film that the user is composing.

    Attributes:
        settings: a recipe with the settings of the film; its scenes and its motion do not matter.
        scenes: of the film, in order of time.
        locked: whether the next film has the same seed.
        keyframes_first: whether the user wants to review the keyframes before the film is made.
        guessed: whether to replace the settings by the model's defaults once they are known.
        remix_of: title of the film that it was loaded from; "" if it is a new one.
        submitted: the recipe that a film has already, with a seed of 0; None if there is none.
        revisions: how often the app changed each setting; part of the widgets' keys.
        firsts: value of each widget when it first appeared, by the widget's key.
    """

    settings: Recipe
    scenes: list[SceneDraft]
    locked: bool = True
    keyframes_first: bool = False
    guessed: bool = False
    remix_of: str = ""
    submitted: Recipe | None = None
    revisions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SETTINGS, 0))
    firsts: dict[str, Any] = field(default_factory=dict)


def current(state: State) -> Draft:
    """Return the draft in the session."""
    return cast(Draft, state["draft"])


def begin(state: State, model: str, defaults: Defaults, *, guessed: bool = False) -> None:
    """Start an empty film with a model's defaults, unless there is a draft.

    Args:
        state: the session.
        model: name of the model.
        defaults: of the model.
        guessed: whether no engine has reported its models' defaults yet.
    """
    if "draft" not in state:
        start_over(state, model, defaults)
        current(state).guessed = guessed


def start_over(state: State, model: str, defaults: Defaults) -> None:
    """Start an empty film with a model's defaults."""
    empty = Recipe(scenes=NO_SCENES, model=model, seed=new_seed())
    load(state, structs.replace(empty, **structs.asdict(defaults)))
    draft = current(state)
    draft.scenes[0].prompt, draft.locked = "", False


def is_blank(state: State) -> bool:
    """Return whether the draft is a single empty scene."""
    scenes = current(state).scenes
    return len(scenes) == 1 and scenes[0].empty


def load(state: State, recipe: Recipe, *, remix_of: str = "") -> None:
    """Replace the draft by a recipe, with its seed locked.

    Args:
        state: the session.
        recipe: of a film.
        remix_of: its title, if that film exists.
    """
    settings = structs.replace(recipe, scenes=NO_SCENES, motion="morph", animatic=False)
    scenes = zip(recipe.scenes, recipe.motions, strict=True)
    draft = Draft(settings, [_scene_draft(scene, motion) for scene, motion in scenes])
    draft.remix_of = remix_of
    if "draft" in state:
        old = current(state)
        draft.keyframes_first = old.keyframes_first
        draft.revisions = _next(old.revisions)
    state["draft"] = draft
    if remix_of:
        draft.submitted = _seedless(state)


def key(state: State, name: str) -> str:
    """Return the key of a setting's widget."""
    return f"{PREFIX}{name}-{current(state).revisions[name]}"


def scene_key(scene: SceneDraft, name: str) -> str:
    """Return the key of a widget of a scene; ``name`` is one of ``SCENE_FIELDS``."""
    return f"{PREFIX}{name}-{scene.id}"


def first(state: State, key: str, value: T) -> T:
    """Return the value that a widget had when it first appeared, by its key."""
    firsts = current(state).firsts
    if key not in state or key not in firsts:
        firsts[key] = value
    return cast(T, firsts[key])


def setting(state: State, name: str) -> dict[str, Any]:
    """Return the ``key`` and the ``value`` of a setting's widget."""
    at, value = key(state, name), getattr(current(state).settings, name)
    value = recipes.SETTINGS[name].default if value is UNSET else value
    return {"key": at, "value": first(state, at, value)}


def choice(state: State, name: str, options: Iterable[Any]) -> dict[str, Any]:
    """Return the ``key`` and the ``index`` of a setting's widget that offers ``options``."""
    found = setting(state, name)
    return {"key": found["key"], "index": list(options).index(found["value"])}


def of_scene(state: State, scene: SceneDraft, name: str) -> dict[str, Any]:
    """Return the ``key`` and the ``value`` of a scene's widget; ``name``: see ``scene_key``."""
    at = scene_key(scene, name)
    return {"key": at, "value": first(state, at, getattr(scene, name))}


def read_widgets(state: State) -> None:
    """Copy the widgets' values into the draft."""
    draft = current(state)
    draft.keyframes_first = state.get(KEYFRAMES_FIRST_KEY, draft.keyframes_first)
    keys = {name: key(state, name) for name in SETTINGS}
    shown = {name: state[at] for name, at in keys.items() if at in state}
    draft.settings = structs.replace(draft.settings, **shown)
    for scene in draft.scenes:
        for name in SCENE_FIELDS:
            value = state.get(scene_key(scene, name))
            if value is not None:  # a segmented control may have no selection
                setattr(scene, name, value)


def change(state: State, **values: Any) -> None:
    """Change settings."""
    read_widgets(state)
    draft = current(state)
    for name, value in values.items():
        if getattr(draft.settings, name) != value:
            draft.settings = structs.replace(draft.settings, **{name: value})
            draft.revisions[name] += 1


def renew(state: State, name: str, labels: object) -> None:
    """Give a setting a new widget when the labels of its options change.

    Streamlit would take an old label, which the browser still has, for the setting's value.
    """
    draft, at = current(state), f"labels-of-{name}"
    if draft.firsts.get(at, labels) != labels:
        read_widgets(state)
        draft.revisions[name] += 1
    draft.firsts[at] = labels


def use_defaults(state: State, defaults: Defaults) -> None:
    """Change the settings to a model's defaults."""
    change(state, **structs.asdict(defaults))


def lock(state: State, locked: bool) -> None:
    """Keep the seed for the next film, or draw a new one for each film."""
    read_widgets(state)
    current(state).locked = locked


def submitted(state: State) -> None:
    """Note that the film was submitted; draw another seed for the next, unless it is locked."""
    current(state).submitted = _seedless(state)
    if not current(state).locked:
        change(state, seed=new_seed())


def is_submitted(state: State) -> bool:
    """Return whether a film with these scenes and settings exists; seeds may differ."""
    known = current(state).submitted
    return known is not None and known == _seedless(state)


def _seedless(state: State) -> Recipe | None:
    """Return the recipe of the draft with a seed of 0; None if it is not valid."""
    try:
        return structs.replace(recipe_of(state, filler=FILLER), seed=0)
    except VisionFluxError:
        return None


class Removed(NamedTuple):
    """A draft as it was before something was removed, and a line that says what."""

    line: str
    draft: Draft


def keep(state: State, line: str) -> None:
    """Keep a copy of the draft for ``undo``; ``line`` says what is about to be removed."""
    read_widgets(state)
    state[UNDO_KEY] = Removed(line, deepcopy(current(state)))


def removed(state: State) -> Removed | None:
    """Return what ``undo`` would bring back; None if there is nothing."""
    return cast("Removed | None", state.get(UNDO_KEY))


def undo(state: State) -> None:
    """Bring back the draft that was kept, with new widgets."""
    draft = state.pop(UNDO_KEY).draft
    draft.revisions, draft.firsts = _next(current(state).revisions), {}
    for scene in draft.scenes:
        scene.id = new_id()
    state["draft"] = draft


def dismiss_undo(state: State) -> None:
    """Drop the draft that was kept."""
    state.pop(UNDO_KEY, None)


def _next(revisions: dict[str, int]) -> dict[str, int]:
    """Return revisions that give every setting a new widget."""
    return {name: count + 1 for name, count in revisions.items()}


def put_prompt(state: State, text: str) -> None:
    """Put a text into the first empty scene, else into the last scene."""
    read_widgets(state)
    scenes = current(state).scenes
    scene = next((scene for scene in scenes if scene.empty), scenes[-1])
    set_prompt(state, scene.id, text)


def set_prompt(state: State, scene_id: str, text: str) -> None:
    """Replace the prompt of a scene."""
    read_widgets(state)
    scene = _find(state, scene_id)
    if not scene.empty:
        keep(state, f"The words of scene {current(state).scenes.index(scene) + 1} were replaced")
    scene.prompt, scene.id = text, new_id()  # with new widgets


def says(prompt: str, word: str) -> bool:
    """Return whether a prompt has a word, or several, as one of its parts between commas."""
    return word in map(str.strip, prompt.split(","))


def toggle_word(state: State, scene_id: str, word: str) -> None:
    """Add a word to the prompt of a scene, after a comma; take it out if it is there."""
    read_widgets(state)
    scene = _find(state, scene_id)
    parts = [part.strip() for part in scene.prompt.split(",") if part.strip()]
    others = [part for part in parts if part != word]
    scene.prompt = ", ".join(others if len(others) < len(parts) else [*parts, word])
    state[scene_key(scene, "prompt")] = scene.prompt  # its field keeps its place and its focus


def add_scene(state: State) -> None:
    """Append an empty scene with the duration and the motion of the one before it."""
    scenes, _ = _reorder(state)
    scenes.append(SceneDraft("", scenes[-1].seconds, scenes[-1].motion))


def extend(state: State, start_image: str) -> None:
    """Append an empty scene that begins, after a cut, exactly with an image."""
    scenes, _ = _reorder(state)
    scene = SceneDraft("", scenes[-1].seconds, "cut", start_image=start_image, strength=0.0)
    scenes.append(scene)


def copy_scene(state: State, scene_id: str) -> None:
    """Insert a copy after a scene, unless the film has the maximal number of scenes."""
    scenes, at = _reorder(state, scene_id)
    if len(scenes) < MAX_SCENES:
        scenes.insert(at + 1, replace(scenes[at], id=new_id()))


def move_scene(state: State, scene_id: str, by: int) -> None:
    """Move a scene by a number of places, as far as possible."""
    scenes, at = _reorder(state, scene_id)
    scenes.insert(max(0, at + by), scenes.pop(at))


def drop_scene(state: State, scene_id: str) -> None:
    """Remove a scene; if it is the only one, empty it."""
    keep(state, f"Scene {current(state).scenes.index(_find(state, scene_id)) + 1} was removed")
    scenes, at = _reorder(state, scene_id)
    gone = scenes.pop(at)
    if not scenes:
        scenes.append(SceneDraft("", gone.seconds, gone.motion))


def set_camera(state: State, scene_id: str, camera: Camera | None) -> None:
    """Set the camera of a scene; None for a fixed camera."""
    read_widgets(state)
    _find(state, scene_id).camera = camera


def set_start_image(state: State, scene_id: str, start_image: str) -> None:
    """Set the image that a scene begins from; "" removes it."""
    read_widgets(state)
    scene = _find(state, scene_id)
    if not start_image:
        keep(state, f"The picture of scene {current(state).scenes.index(scene) + 1} was removed")
    scene.start_image = start_image
    if not start_image:
        scene.strength = SceneDraft.strength


def set_strength(state: State, scene_id: str, strength: float) -> None:
    """Set how far a scene's first keyframe may differ from its start image."""
    read_widgets(state)
    _find(state, scene_id).strength = strength


def recipe_of(state: State, filler: str = "") -> Recipe:
    """Return the recipe of the draft; ``filler`` replaces an empty prompt.

    Raises:
        InvalidParameterError: a field is not valid; the error names it.
        LimitError: the film is too long.
    """
    draft = current(state)
    for index, scene in enumerate(draft.scenes):
        if scene.empty and not filler:
            problem, remedy = "this scene is empty", "describe what it shows"
            raise InvalidParameterError(f"scenes[{index}].prompt", problem, remedy)
    motions = {scene.motion for scene in draft.scenes[1:]}
    common = draft.scenes[1].motion if len(motions) == 1 else "morph"
    scenes = tuple(
        scene.to_scene(scene.motion if index and scene.motion != common else UNSET, filler)
        for index, scene in enumerate(draft.scenes)
    )
    recipe = structs.replace(draft.settings, scenes=scenes, motion=common)
    return parse_recipe(msgspec.to_builtins(recipe))  # validates the widgets' values


def new_seed() -> int:
    """Return a random seed."""
    return secrets.randbelow(2**32)


def _scene_draft(scene: Scene, motion: Motion) -> SceneDraft:
    return SceneDraft(
        prompt=scene.prompt,
        seconds=float(scene.seconds),
        motion=motion,
        camera=None if scene.camera is UNSET else scene.camera,
        start_image="" if scene.start_image is UNSET else scene.start_image,
        strength=scene.strength,
    )


def _find(state: State, scene_id: str) -> SceneDraft:
    return next(scene for scene in current(state).scenes if scene.id == scene_id)


def _reorder(state: State, scene_id: str = "") -> tuple[list[SceneDraft], int]:
    """Return the scenes, which the caller reorders, and the index of one of them.

    This removes fixed times of keyframes and retakes, which would apply to other scenes.
    """
    read_widgets(state)
    draft = current(state)
    draft.settings = structs.replace(draft.settings, keyframes=UNSET, retakes=UNSET)
    at = next((i for i, scene in enumerate(draft.scenes) if scene.id == scene_id), 0)
    return draft.scenes, at
