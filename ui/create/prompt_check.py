"""Shows beside each prompt which of its words the model knows, and what it adds.

Words are told apart in the browser while they are typed (``prompt_check.js``); what is added comes
with the next run of the page. Nothing is claimed about models without a vocabulary. It knows cards
and prompts, not the draft or the engine.
"""

import difflib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import streamlit as st

from engine.film.recipe import Recipe
from engine.film.vocabulary import Completion, Listener, Part, Vocabulary, completions
from engine.models import Card
from ui.shell.component import component
from ui.shell.text import plain

NOTHING_KNOWN = (
    "This small model paints landscapes and the subjects of its list; this prompt needs Stable "
    "Diffusion."
)
ALIKE = 0.8  # share of letters that a word has in common with the one it was meant to be
SHORTEST_TYPO = 4  # letters; shorter words are like too many others

_HTML = """
<p class="words" hidden></p>
<p class="also" role="status" hidden></p>
"""
_component = component(Path(__file__).with_name("prompt_check.js"), _HTML)


class PromptCheck(NamedTuple):
    """What a model makes of one scene's prompt.

    Attributes:
        also: phrases that are added; none for an empty prompt.
        nothing: whether nothing that it could paint is named.
        nearest: a prompt that it can paint instead; "" if it knows none.
    """

    also: tuple[str, ...] = ()
    nothing: bool = False
    nearest: str = ""


def check_prompts(prompts: Sequence[str], seed: int, card: Card) -> list[PromptCheck]:
    """Return what a model makes of the prompts of a film's scenes; nothing without a vocabulary."""
    if card.vocabulary is None:
        return [PromptCheck() for _ in prompts]
    listener = _listener(msgspec.json.encode(card.vocabulary))
    found = completions(prompts, seed, listener)
    return [
        _check(prompt, one, listener, card.examples) if prompt.strip() else PromptCheck()
        for prompt, one in zip(prompts, found, strict=True)
    ]


def _check(
    prompt: str, one: Completion, listener: Listener, examples: Sequence[str]
) -> PromptCheck:
    unknown = any(not part.known for part in one.parts)
    if not unknown or listener.says_something(one.parts):
        return PromptCheck(also=one.added)
    return PromptCheck(nothing=True, nearest=nearest(prompt, one, listener, examples))


def nearest(prompt: str, one: Completion, listener: Listener, examples: Sequence[str]) -> str:
    """Return a prompt that the model can paint, as near to another one as it can.

    That is the prompt with its typing errors corrected; else what is understood of it, and what is
    added; else the first example.
    """
    if (corrected := _corrected(prompt, one.parts, listener)) != prompt:
        return corrected
    understood = [
        prompt[part.start : part.end]
        for part in one.parts
        if any(not listener.attributes[name].of for name, _ in part.meanings)
    ]
    return ", ".join([*understood, *one.added]) if understood else next(iter(examples), "")


def _corrected(prompt: str, parts: Sequence[Part], listener: Listener) -> str:
    """Return a prompt whose unknown words are all typing errors, corrected; else as it is.

    A single word that is like a known one may as well be another: no bowl of fruit is an owl.
    """
    phrases = [phrase for phrase, meant in listener.phrases.items() if meant]
    corrected = prompt
    for part in reversed(parts):
        if not part.known:
            word = prompt[part.start : part.end]
            meant = difflib.get_close_matches(word.lower(), phrases, n=1, cutoff=ALIKE)
            if len(word) < SHORTEST_TYPO or not meant:
                return prompt
            corrected = corrected[: part.start] + meant[0] + corrected[part.end :]
    return corrected


@lru_cache(maxsize=4)
def _listener(vocabulary: bytes) -> Listener:
    """Return the listener of an encoded vocabulary; making one takes milliseconds."""
    return Listener(msgspec.json.decode(vocabulary, type=Vocabulary))


def teach_words(card: Card) -> None:
    """Give the page's script the words that a model knows; call it before ``prompt_check``."""
    if card.vocabulary is None:
        return
    phrases = _listener(msgspec.json.encode(card.vocabulary)).phrases
    _component(
        key="known-words",
        data={
            "known": "\n".join(phrase for phrase, meant in phrases.items() if meant),
            "ignored": "\n".join(phrase for phrase, meant in phrases.items() if not meant),
        },
    )


def prompt_check(
    scene_id: str, prompt: str, found: PromptCheck, take: Callable[[str], None]
) -> None:
    """Draw what the model makes of a scene's prompt.

    Args:
        scene_id: of the scene whose text area the script listens to.
        prompt: of the scene.
        found: what the model makes of it.
        take: replaces the prompt.
    """
    also = f"Also in the picture: {', '.join(found.also)}." if found.also else ""
    _component(key=f"heard-{scene_id}", data={"scene": scene_id, "prompt": prompt, "also": also})
    if not found.nothing:
        return
    st.caption(NOTHING_KNOWN)
    with st.container(horizontal=True, gap="small", key=f"ways-{scene_id}"):
        if found.nearest:
            st.button(
                f"Paint “{plain(found.nearest)}”",
                key=f"nearest-{scene_id}",
                on_click=take,
                args=[found.nearest],
            )
        if st.button("Connect a GPU", key=f"gpu-{scene_id}", icon=":material/memory:"):
            st.switch_page("pages/connection.py")


def note_after_film(recipe: Recipe, card: Card | None) -> None:
    """Draw why a finished film may not show what was asked for, if its model knows too little."""
    prompts = [scene.prompt for scene in recipe.scenes]
    checks = check_prompts(prompts, recipe.seed, card) if card else []
    scenes = [index for index, found in enumerate(checks, start=1) if found.nothing]
    if not scenes:
        return
    where = f"Scene {', '.join(map(str, scenes))}: " if len(prompts) > 1 else ""
    st.caption(f"{where}{NOTHING_KNOWN}")
    if st.button("Connect a GPU", key="gpu-after", icon=":material/memory:"):
        st.switch_page("pages/connection.py")
