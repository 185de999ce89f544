"""The review of a film's keyframes, which the user approves, paints again, rewords or locks.

Each scene has a card with its clearest keyframe; the others are behind it. Every change is a new
recipe, and each button says how many keyframes it paints again: the engine paints only those that
it does not have yet. It knows animatics, not how jobs are submitted.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Literal, NamedTuple

import streamlit as st

from engine.film.events import PieceFinished, remarks
from engine.film.fields import fields_of
from engine.film.progress import fold
from engine.film.recipe import Recipe, Scene
from engine.film.stages import KEYFRAME
from engine.film.vocabulary import Vocabulary
from ui import app_state
from ui.create import animatic
from ui.create.widgets import show_excess
from ui.estimate.panel import estimate
from ui.films.player import player
from ui.shell import text
from ui.storage import draft
from ui.storage.tables import Film

Submit = Callable[[Recipe, Callable[[str], None]], None]
CARD_WIDTH = 236  # pixels
SCENE_WIDTH = 383  # pixels, of a scene's card if there are several: three in a row
POLL_INTERVAL = 1.5  # seconds, while pictures are missing
REPAINT_HELP = "Paint them again from another seed"
ANOTHER = "\0"  # a prompt that no scene can have: which keyframes would another one change?


class Keyframe(NamedTuple):
    """A keyframe in the review.

    Attributes:
        number: in the plan.
        seconds: its time in the film.
        new: whether the engine painted it for this animatic.
        blank: whether it came out blank.
    """

    number: int
    seconds: float
    new: bool
    blank: bool


@dataclass(frozen=True)
class Review:
    """What is reviewed. A place is the index of a keyframe in order of time.

    Attributes:
        film: the animatic, finished.
        keyframes: its keyframes, in order of time.
        submit: submits a recipe, calls its second argument with the job, and opens that.
        vocabulary: of the model, which completes prompts; None if it has none.
    """

    film: Film
    keyframes: list[Keyframe]
    submit: Submit
    vocabulary: Vocabulary | None

    @cached_property
    def times(self) -> list[float]:
        """Seconds of the keyframes."""
        return [keyframe.seconds for keyframe in self.keyframes]

    @cached_property
    def fixed(self) -> set[int]:
        """Places that must not change: the locked ones, and all that they depend on."""
        return animatic.made_of(self.sources, _locked() & {*self.places})

    @cached_property
    def sources(self) -> list[set[int]]:
        """The places that each keyframe is painted from."""
        return animatic.sources_of(self.film.recipe, self.times)

    @property
    def places(self) -> range:
        """All places."""
        return range(len(self.keyframes))

    def of_scene(self, scene: int) -> list[int]:
        """Return the places of a scene."""
        recipe = self.film.recipe
        return [at for at in self.places if animatic.scene_at(recipe, self.times[at]) == scene]

    def changed_by(self, places: Set[int]) -> set[int]:
        """Return the places that another take of some places paints again."""
        return animatic.dependents(self.sources, places)

    def changed_to(self, recipe: Recipe) -> set[int]:
        """Return the places that another recipe paints again."""
        return animatic.repainted(self.film.recipe, recipe, self.times, self.vocabulary)

    def repaint(self, places: Set[int]) -> None:
        """Paint some keyframes again: those of one scene from the same seed, so that they match."""
        recipe = self.film.recipe
        seeds = [draft.new_seed() for _ in recipe.scenes]
        chosen = {at: seeds[animatic.scene_at(recipe, self.times[at])] for at in places}
        self.remake(animatic.retaken(recipe, self.times, chosen, {}))

    def remake(self, recipe: Recipe) -> None:
        """Submit another recipe in place of this one, if it is another one."""
        if recipe != self.film.recipe:
            self.submit(recipe, lambda job: discard(self.film, job))


def keyframe_review(film: Film, submit: Submit, vocabulary: Vocabulary | None) -> None:
    """Draw the review; the arguments are those of ``Review``."""
    st.caption(
        "These are the keyframes. Those that you change are painted again, and so are those that "
        "depend on them."
    )
    review = Review(film, _keyframes(film.job), submit, vocabulary)
    _approval(review)
    missing = _pictures_missing(review)
    interval = POLL_INTERVAL if missing else None
    st.fragment(_scenes, run_every=interval)(review, missing)
    with st.expander("See them in motion", icon=":material/play_arrow:"):
        player(film)


def discard(film: Film, by: str) -> None:
    """Remove an animatic from the library; its address leads to the job that replaces it."""
    app_state.get_hub().library.discard(film.job)
    st.session_state.setdefault("replaced", {})[film.job] = by


def _approval(review: Review) -> None:
    film = review.film
    whole = animatic.film_of(film.recipe)
    engine = app_state.get_hub().chosen()
    cost, _ = estimate(engine, whole)
    with st.container(key="glass_gate", border=True, horizontal=True, vertical_alignment="center"):
        if st.button("Make the film", key="approve", type="primary", disabled=not engine.connected):
            review.submit(whole, lambda job: _approved(film, job))
        others = {*review.places} - review.fixed
        every = f"Repaint all {len(others)}"
        label = f"Repaint the {len(others)} that are not locked" if review.fixed else every
        if st.button(label, key="reroll-all", icon=":material/casino:", disabled=not others):
            review.repaint(others)
        st.caption(f"The film then takes about {text.length(cost.seconds)}.")


def _approved(film: Film, by: str) -> None:
    for name in ("lock", "scene"):
        st.query_params.pop(name, None)
    discard(film, by)


def _scenes(review: Review, missing: bool) -> None:
    """Draw the scenes, and all keyframes of the open one.

    The page reruns once no picture is ``missing`` any more.
    """
    if missing and not _pictures_missing(review):
        st.rerun()
    scenes = range(len(review.film.recipe.scenes))
    with st.container(key="scene-cards", horizontal=True, gap="small"):
        for scene in scenes:
            width: int | Literal["stretch"] = SCENE_WIDTH if len(scenes) > 1 else "stretch"
            with st.container(key=f"glass_of_scene_{scene}", border=True, width=width, gap="small"):
                _scene(review, scene, wide=len(scenes) == 1)
    if (scene := _open()) in scenes:
        _cards(review, scene)


def _scene(review: Review, scene: int, *, wide: bool) -> None:
    """Draw a scene's clearest keyframe, and below or beside it what there is to say and to do."""
    places, recipe = review.of_scene(scene), review.film.recipe
    if not places:
        st.caption(f"Scene {scene + 1} has no keyframe of its own.")
        return
    place = places[animatic.clearest(recipe, [review.times[at] for at in places])]
    picture, facts = st.columns([5, 7]) if wide else (st.container(), st.container())
    picture.html(_picture(review.film, place, review.keyframes[place]))
    with facts:
        _facts(review, scene, places)


def _facts(review: Review, scene: int, places: list[int]) -> None:
    recipe = review.film.recipe
    st.markdown(f"**Scene {scene + 1}** · {text.plain(text.short(recipe.scenes[scene].prompt))}")
    st.caption(_summary(review, places))
    with st.container(key=f"scene_tools_{scene}", horizontal=True, gap="xsmall"):
        free = {*places} - review.fixed
        label = f"Repaint {len(review.changed_by(free))}" if free else "Repaint"
        key, icon = f"scene-repaint-{scene}", ":material/casino:"
        if st.button(label, key=key, icon=icon, help=REPAINT_HELP, disabled=not free):
            review.repaint(free)
        _reword(review, scene)
        locked = {*places} <= _locked()
        word, icon = ("Unlock", "lock") if locked else ("Lock", "lock_open")
        if st.button(word, key=f"scene-lock-{scene}", icon=f":material/{icon}:"):
            _lock(_locked() - {*places} if locked else _locked() | {*places})
        _toggle(scene, len(places) - 1)


def _summary(review: Review, places: list[int]) -> str:
    """Return when a scene's keyframes stand, and how many of them are new, locked or blank."""
    some = [review.keyframes[at] for at in places]
    counts = {
        "new": sum(keyframe.new for keyframe in some),
        "locked": len(_locked() & {*places}),
        "came out blank": sum(keyframe.blank for keyframe in some),
    }
    said = [f"{count} {word}" for word, count in counts.items() if count]
    length = f"{some[0].seconds:.1f} to {some[-1].seconds:.1f} s"
    keyframes = "1 keyframe" if len(some) == 1 else f"{len(some)} keyframes"
    return " · ".join([length, keyframes, *said])


def _reword(review: Review, scene: int) -> None:
    """Draw the field for a scene's prompt, with what another one paints again."""
    recipe = review.film.recipe
    with st.popover("Change the prompt", icon=":material/edit:"):
        label, key = f"Prompt of scene {scene + 1}", f"scene-words-{review.film.job}-{scene}"
        prompt = st.text_area(label, value=recipe.scenes[scene].prompt, key=key)
        show_excess(prompt, fields_of(Scene)["prompt"])
        after = animatic.reworded(recipe, scene, prompt, review.times)
        other = animatic.reworded(recipe, scene, ANOTHER, review.times)
        changes = review.changed_to(other if after == recipe else after)
        held = bool(changes & review.fixed)
        if held:
            st.caption("A locked keyframe would change. Unlock it first.")
        label, key = f"Repaint {len(changes)}", f"scene-paint-{scene}"
        if st.button(label, key=key, type="primary", disabled=held):
            review.remake(after)


def _toggle(scene: int, others: int) -> None:
    """Draw the button that shows or hides the other keyframes of a scene."""
    opened = _open() == scene
    label = "Hide them" if opened else f"{others} more" if others else "Details"
    icon = f":material/{'expand_less' if opened else 'expand_more'}:"
    if st.button(label, key=f"scene-open-{scene}", icon=icon, type="tertiary"):
        if opened:
            st.query_params.pop("scene")
        else:
            st.query_params["scene"] = str(scene + 1)
        st.rerun()


def _open() -> int:
    """Return the scene whose keyframes are all shown, which the page's address names; or -1."""
    word = st.query_params.get("scene", "")
    return int(word) - 1 if word.isdecimal() and len(word) < 4 else -1


def _cards(review: Review, scene: int) -> None:
    """Draw a card for each keyframe of a scene."""
    with st.container(key="keyframes", horizontal=True, gap="small"):
        for place in review.of_scene(scene):
            key = f"glass_key_{place}"
            with st.container(key=key, border=True, width=CARD_WIDTH, gap="xsmall"):
                keyframe = review.keyframes[place]
                st.html(_picture(review.film, place, keyframe))
                st.caption(f"{keyframe.seconds:.1f} s · {_state(review, place)}")
                _buttons(review, place)


def _state(review: Review, place: int) -> str:
    """Return the state of a keyframe, and how many others depend on it."""
    keyframe, more = review.keyframes[place], len(review.changed_by({place})) - 1
    if place in _locked():
        state = "locked"
    elif place in review.fixed:
        state = "needed by a locked one"
    else:
        state = "new" if keyframe.new else "kept"
        state += f"; {_depending(more)}" if more else ""
    return state + (", came out blank" if keyframe.blank else "")


def _depending(count: int) -> str:
    return "1 other depends on it" if count == 1 else f"{count} others depend on it"


def _buttons(review: Review, place: int) -> None:
    locked, fixed = place in _locked(), place in review.fixed
    count = len(review.changed_by({place}))
    with st.container(key=f"tools_{place}", horizontal=True, gap="xsmall"):
        if _button("Repaint", "casino", place, disabled=fixed):
            review.repaint({place})
        if _button("Unlock" if locked else "Lock", "lock" if locked else "lock_open", place):
            _lock(_locked() ^ {place})
        with st.popover("Change the prompt", icon=":material/edit:", disabled=fixed):
            prompt = st.text_area(
                f"Keyframe {place + 1}",
                value=animatic.prompt_at(review.film.recipe, review.times[place]),
                key=f"words-{review.film.job}-{place}",
            )
            show_excess(prompt, fields_of(Scene)["prompt"])
            if st.button(f"Repaint {count}", key=f"paint-{place}", type="primary"):
                recipe = review.film.recipe
                review.remake(animatic.retaken(recipe, review.times, {}, {place: prompt}))


def _button(label: str, icon: str, index: int, *, disabled: bool = False) -> bool:
    key = f"tool-{label.lower()}-{index}"
    icon = f":material/{icon}:"
    return st.button(label, key=key, icon=icon, help=label, type="tertiary", disabled=disabled)


def _picture(film: Film, place: int, keyframe: Keyframe) -> str:
    shows = animatic.prompt_at(film.recipe, keyframe.seconds)
    alt = escape(f"Keyframe {place + 1}: {text.short(shows)}")
    shape = f"aspect-ratio: {film.width} / {film.height}"
    if keyframe.number not in app_state.get_hub().library.thumbnails(film.job):
        return f'<div class="keyframe" style="{shape}" role="img" aria-label="{alt}"></div>'
    ticket = app_state.get_tickets().issue(f"film:{film.job}")
    address = escape(f"/api/pictures/{film.job}/{keyframe.number}?ticket={ticket}")
    return f'<img class="keyframe" style="{shape}" src="{address}" alt="{alt}">'


def _pictures_missing(review: Review) -> bool:
    """Return whether pictures are still to be downloaded."""
    visible = sum(not keyframe.blank for keyframe in review.keyframes)
    return len(app_state.get_hub().library.thumbnails(review.film.job)) < visible


def _keyframes(job: str) -> list[Keyframe]:
    """Return an animatic's keyframes in order of time, as its log tells them."""
    log = app_state.get_hub().event_log.of_film(job)
    heard = (logged.event for logged in log)
    pieces = [one for one in heard if isinstance(one, PieceFinished) and one.stage == KEYFRAME.name]
    new = {one.index for one in pieces if not one.reused}
    progress = fold(log)
    times = progress.plan.times if progress.plan else ()
    details = progress.of(KEYFRAME).details
    blank = {index for index, detail in details.items() if "blank" in remarks(detail)}
    return [Keyframe(i, times[i], i in new, i in blank) for i in progress.strip]


def _locked() -> set[int]:
    """Return the locked keyframes, which the page's address lists."""
    words_ = st.query_params.get("lock", "").split(".")
    return {int(word) for word in words_ if word.isdecimal() and len(word) < 4}


def _lock(places: Set[int]) -> None:
    st.query_params["lock"] = ".".join(map(str, sorted(places)))
    st.rerun()
