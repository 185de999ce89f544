"""A model's vocabulary: what a prompt says in it, and what the prompt leaves open.

A small model paints what it is told and picks the rest from the noise, which walks within a scene:
night would become sunset. So a model's card may carry its vocabulary, and what a prompt leaves open
is decided once for a scene, from the recipe's seed, and said in the prompt that is painted. Models
without a vocabulary get prompts as they were written. Pure: it knows words, no models and no torch.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import msgspec
from msgspec import UNSET, structs

from engine.film import timeline
from engine.film.recipe import Recipe, Retake

WORD = re.compile(r"[^\W_]+")
ARTICLES = ("a", "an", "the")  # in front of a phrase they mean nothing
MANY_WORDS = 20  # in a prompt; its end might be beyond what the model reads
SHORTEST_PLURAL = 4  # letters

Meaning = tuple[str, str]  # an attribute and one of its values
Decisions = Mapping[str, str]  # a value for each attribute


class Sense(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value of an attribute.

    Attributes:
        heard: phrases that mean it; a completed prompt says the first.
        often: how often it is chosen, relative to the others; 0: only where no other fits.
        needs: by another attribute, its values that go with this one: no others do. They may be
            names of ``Vocabulary.groups``.
        prefers: by another attribute, its values that are chosen beside this one if they can be.
    """

    heard: tuple[str, ...]
    often: int = 1
    needs: dict[str, tuple[str, ...]] = {}
    prefers: dict[str, tuple[str, ...]] = {}


class Attribute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that pictures of the model have, such as a time of day.

    Attributes:
        values: by name.
        completed: whether it is decided where a prompt leaves it open.
        of: the attribute that it qualifies, as a side does the moon; its phrase follows that one's.
        shows: whether it names something to paint, as a place does and a time of day does not.
    """

    name: str
    values: dict[str, Sense]
    completed: bool = False
    of: str = ""
    shows: bool = False


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a model understands.

    Attributes:
        attributes: in the order in which they are decided and said.
        groups: values that ``Sense.needs`` has under one name.
        ignored: words and phrases that mean nothing to it, such as "cinematic".
    """

    attributes: tuple[Attribute, ...]
    groups: dict[str, tuple[str, ...]] = {}
    ignored: tuple[str, ...] = ()


class Part(NamedTuple):
    """A phrase of a prompt, or a word that is in no phrase.

    Attributes:
        start: index of its first character.
        end: index after its last one.
        known: whether it is in the vocabulary, be it as one of its ignored words.
        meanings: what it says; several where a phrase says two things, none if it is ignored.
    """

    start: int
    end: int
    known: bool
    meanings: tuple[Meaning, ...] = ()


class Completion(NamedTuple):
    """A prompt with all that it left open.

    Attributes:
        prompt: what is painted.
        parts: of the prompt as it was written.
        added: what was decided, in phrases.
        decided: the value of each attribute, said or chosen; the last one if several are said.
    """

    prompt: str
    parts: tuple[Part, ...]
    added: tuple[str, ...]
    decided: Decisions


class Listener:
    """Finds the phrases of a vocabulary in prompts, and completes them.

    Attributes:
        attributes: of the vocabulary, by name.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.attributes = {attribute.name: attribute for attribute in vocabulary.attributes}
        self._meanings: dict[tuple[str, ...], list[Meaning]] = {
            key: [] for key in map(_key, vocabulary.ignored)
        }
        self._needs: dict[Meaning, dict[str, set[str]]] = {}
        for attribute in vocabulary.attributes:
            for name, sense in attribute.values.items():
                for key in map(_key, sense.heard):
                    self._meanings.setdefault(key, []).append((attribute.name, name))
                self._needs[attribute.name, name] = {
                    other: {one for name in names for one in vocabulary.groups.get(name, (name,))}
                    for other, names in sense.needs.items()
                }
        self._longest = max(map(len, self._meanings), default=0)

    @property
    def phrases(self) -> dict[str, bool]:
        """All phrases, in small letters and without articles; whether each means something."""
        return {" ".join(key): bool(meanings) for key, meanings in self._meanings.items()}

    def says_something(self, parts: Iterable[Part]) -> bool:
        """Return whether the parts of a prompt name something to paint."""
        return any(self.attributes[name].shows for part in parts for name, _ in part.meanings)

    def hear(self, prompt: str) -> tuple[Part, ...]:
        """Return the parts of a prompt, in order; where phrases overlap, the longest counts.

        Case and punctuation mean nothing. The plural of a phrase means the same. What qualifies
        another attribute belongs to the last one said before it, else to the first after it.
        """
        spans = [match.span() for match in WORD.finditer(prompt)]
        words = [prompt[start:end].lower() for start, end in spans]
        parts, at = list[Part](), 0
        while at < len(words):
            sizes = range(min(self._longest, len(words) - at), 0, -1)
            found = ((size, self._look_up(words[at : at + size])) for size in sizes)
            size, meanings = next((one for one in found if one[1] is not None), (1, None))
            start, end = spans[at][0], spans[at + size - 1][1]
            parts.append(Part(start, end, meanings is not None, tuple(meanings or ())))
            at += size
        return tuple(self._attached(parts, place) for place in range(len(parts)))

    def complete(
        self, prompt: str, seed: int, scene: int = 0, before: Decisions | None = None
    ) -> Completion:
        """Decide what a prompt leaves open.

        Args:
            prompt: as it was written.
            seed: of the recipe. The same seed and prompt give the same completion everywhere.
            scene: index of the prompt's scene.
            before: what holds in the scene before. It is kept where the prompt does not say
                otherwise and it goes with what the prompt says.
        """
        parts, before = self.hear(prompt), before or {}
        decided: dict[str, list[str]] = {}
        for part in parts:
            for name, value in part.meanings:
                decided.setdefault(name, []).append(value)
        chosen = set()
        for attribute in self.attributes.values():
            if fitting := self._fitting(attribute, decided):
                kept = before.get(attribute.name)
                draw = f"{seed}/{scene}/{attribute.name}"
                choice = self._preferred(attribute, fitting, decided)
                value = kept if kept in fitting else _drawn(attribute, choice, draw)
                decided[attribute.name] = [value]
                chosen.add(attribute.name)
        painted, added = self._said(prompt, parts, chosen, decided)
        last = {name: values[-1] for name, values in decided.items()}
        return Completion(painted, parts, added, last)

    def _look_up(self, words: Sequence[str]) -> list[Meaning] | None:
        """Return what words mean together; None if they are no phrase of the vocabulary."""
        for last in _singulars(words[-1]):
            if (found := self._meanings.get((*words[:-1], last))) is not None:
                return found
        return None

    def _attached(self, parts: Sequence[Part], place: int) -> Part:
        """Return a part with what it qualifies settled, where a side can be that of two things."""
        part = parts[place]
        owners = {self.attributes[name].of: (name, value) for name, value in part.meanings}
        if len(owners) < 2 or "" in owners:
            return part
        around = (*parts[place::-1], *parts[place + 1 :])
        said = (name for other in around for name, _ in other.meanings if name in owners)
        return part._replace(meanings=(owners[next(said, next(iter(owners)))],))

    def _fitting(self, attribute: Attribute, decided: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the values to choose from; none if nothing is to be chosen.

        They go with everything decided; where a prompt says several values of an attribute, with
        as many of them as possible.
        """
        name = attribute.name
        if not attribute.completed or name in decided:
            return []
        if attribute.of and attribute.of not in decided:
            return []
        scores = {value: self._score((name, value), decided) for value in attribute.values}
        best = max(scores.values(), default=0)
        return [value for value, score in scores.items() if score == best >= 0]

    def _preferred(
        self, attribute: Attribute, fitting: list[str], decided: Mapping[str, Sequence[str]]
    ) -> list[str]:
        """Return those of some values that something decided prefers; all if nothing does."""
        preferred = {
            one
            for name, values in decided.items()
            for value in values
            for one in self.attributes[name].values[value].prefers.get(attribute.name, ())
        }
        return [value for value in fitting if value in preferred] or fitting

    def _score(self, meaning: Meaning, decided: Mapping[str, Sequence[str]]) -> int:
        """Return with how many values a meaning goes; -1 if it goes with none of an attribute's."""
        counts = [
            sum(self._go_together(meaning, (name, value)) for value in values)
            for name, values in decided.items()
        ]
        return sum(counts) if all(counts) else -1

    def _go_together(self, one: Meaning, other: Meaning) -> bool:
        return all(
            value in self._needs[needing].get(name, {value})
            for needing, (name, value) in ((one, other), (other, one))
        )

    def _said(
        self,
        prompt: str,
        parts: Sequence[Part],
        chosen: Set[str],
        decided: Mapping[str, Sequence[str]],
    ) -> tuple[str, tuple[str, ...]]:
        """Return a prompt that says what was chosen, and the phrases that were added."""
        qualities, appended, added = self._qualities(chosen, decided), [], []
        inserted: list[tuple[int, str]] = []
        for name, attribute in self.attributes.items():
            if attribute.of or not (name in chosen or qualities[name]):
                continue
            phrases = [
                self.attributes[said].values[decided[said][0]].heard[0]
                for said in (name, *qualities[name])
            ]
            added.append(" ".join(phrases))
            if name in chosen:
                appended.append(" ".join(phrases))
            else:
                end = next(part.end for part in parts if (name, decided[name][0]) in part.meanings)
                inserted.append((end, " ".join(phrases[1:])))
        for end, phrase in sorted(inserted, reverse=True):
            prompt = f"{prompt[:end]} {phrase}{prompt[end:]}"
        return _joined(prompt, appended), tuple(added)

    def _qualities(
        self, chosen: Set[str], decided: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Return what is to be said of each attribute: all that is known of one that was chosen."""
        return {
            of: [
                name
                for name, quality in self.attributes.items()
                if quality.of == of and name in (decided if of in chosen else chosen)
            ]
            for of in self.attributes
        }


def completions(prompts: Iterable[str], seed: int, listener: Listener) -> list[Completion]:
    """Return the completed prompt of each scene of a recipe.

    What a scene leaves open holds on from the scene before it, where it can; else it is chosen
    from the recipe's seed. So "a fox in a forest" and then "the fox by a lake" share their time of
    day, their weather and their sun, however the second scene begins.
    """
    before, found = dict[str, str](), []
    for index, prompt in enumerate(prompts):
        found.append(listener.complete(prompt, seed, index, before))
        before |= found[-1].decided
    return found


def completed(recipe: Recipe, vocabulary: Vocabulary | None) -> Recipe:
    """Return a recipe as it is painted: with completed prompts, if there is a vocabulary.

    The prompt of a retake leaves open what its scene has decided.
    """
    if vocabulary is None:
        return recipe
    listener, starts = Listener(vocabulary), timeline.starts(recipe)
    found = completions((scene.prompt for scene in recipe.scenes), recipe.seed, listener)

    def retaken(retake: Retake) -> Retake:
        if retake.prompt is UNSET:
            return retake
        scene = max(i for i, start in enumerate(starts) if start <= retake.seconds + 1e-9)
        before = found[scene].decided
        one = listener.complete(retake.prompt, recipe.seed, scene, before)
        return structs.replace(retake, prompt=one.prompt)

    scenes = tuple(
        structs.replace(scene, prompt=one.prompt)
        for scene, one in zip(recipe.scenes, found, strict=True)
    )
    retakes = recipe.retakes if recipe.retakes is UNSET else tuple(map(retaken, recipe.retakes))
    return structs.replace(recipe, scenes=scenes, retakes=retakes)


def _key(phrase: str) -> tuple[str, ...]:
    """Return the words of a phrase; an article in front is left out, as "sea lion" is no sea."""
    words = WORD.findall(phrase.lower())
    return tuple(words[1:] if len(words) > 1 and words[0] in ARTICLES else words)


def _singulars(word: str) -> list[str]:
    """Return a word, and what it may be the plural of."""
    found = [word]
    if len(word) >= SHORTEST_PLURAL and word.endswith("s"):
        found.append(word[:-1])
        found += [word[:-2]] * word.endswith("es")
        found += [f"{word[:-3]}y"] * word.endswith("ies")
    return found


def _drawn(attribute: Attribute, values: Sequence[str], draw: str) -> str:
    """Return one of some values; the same on every machine and in every version."""
    often = [attribute.values[value].often for value in values]
    weights = often if any(often) else [1] * len(values)
    digest = hashlib.sha256(draw.encode()).digest()
    point = int.from_bytes(digest[:8]) % sum(weights)
    reached = itertools.accumulate(weights)
    return next(value for value, end in zip(values, reached, strict=True) if point < end)


def _joined(prompt: str, phrases: Sequence[str]) -> str:
    """Return a prompt with phrases behind it; in front of a long one, whose end may not be read."""
    if not phrases:
        return prompt
    parts = [prompt.strip(" \n\t,;."), *phrases]
    if len(WORD.findall(prompt)) > MANY_WORDS:
        parts = [*phrases, parts[0]]
    return ", ".join(part for part in parts if part)
