"""Models as values: the sources of their parts, and what users should know about them."""

import re
from pathlib import Path
from typing import Literal

import msgspec

from engine.errors import InvalidParameterError
from engine.film.recipe import SETTINGS, Recipe, Scheduler
from engine.film.vocabulary import Vocabulary

FOREIGN_SIGNS = (  # of prompts for other programs, which would be painted as letters; what to do
    (
        re.compile(r"<(?:lora|lyco|hypernet)\s*:[^<>]*>", re.IGNORECASE),
        "remove it; a LoRA is part of the model: start the engine with --model MODEL+LORA:WEIGHT",
    ),
    (
        re.compile(r"\{[^{}]*\|[^{}]*\}"),
        "write one of the choices; for all of them, make a film for each",
    ),
)
Steering = Literal["guides", "ignored"]  # what a model does with a negative prompt


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Default settings of a model; those of Stable Diffusion 1.5 unless its card has others."""

    width: int = 512
    height: int = 512
    num_inference_steps: int = 25
    guidance_scale: float = 7.5
    scheduler: Scheduler = "dpmsolver++"
    drift: float = 0.0

    @property
    def guided(self) -> bool:
        """Whether the model uses classifier-free guidance."""
        return self.guidance_scale > 1


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What users should know about a model; ``card.json`` in its folder.

    Attributes:
        licence: its name, as the publisher writes it; "" if unknown.
        download: bytes that its first film downloads; 0 for none, or unknown.
        memory: bytes of a GPU that a picture of the default size takes; 0 if unknown.
        negative_prompt: ``ignored`` if the network cannot use one. Others need a
            ``guidance_scale`` above 1 for it.
        anchor_attention: whether keyframes can look at another one while they are painted; for a
            folder its configuration decides, whatever the card says.
        prompt_weights: whether it reads ``(word:1.3)``, and prompts of any length.
        bfloat16: whether pictures that its network paints in bfloat16 look the same as those in
            float32: a mean difference below 1 dE.
        work: billions of operations of one pass over 256x256 pixels; 0 if unknown.
        knows: words that users see, by kind.
        vocabulary: all that it understands, if that can be told; prompts are completed with it.
    """

    title: str
    description: str = ""
    licence: str = ""
    download: int = 0
    memory: int = 0
    negative_prompt: Steering = "guides"
    anchor_attention: bool = False
    prompt_weights: bool = False
    bfloat16: bool = False
    work: float = 0.0
    knows: dict[str, list[str]] = {}
    examples: list[str] = []
    defaults: Defaults = Defaults()
    vocabulary: Vocabulary | None = None

    @property
    def without_vocabulary(self) -> "Card":
        """The card, but for its largest part."""
        return msgspec.structs.replace(self, vocabulary=None)


class WeightSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where files come from.

    Attributes:
        source: the whole path of a folder or file, or what a hub has: ``owner/name`` or
            ``owner/name/file``.
        revision: the hub's commit; "" pins the first one that is downloaded.
    """

    source: str
    revision: str = ""

    @property
    def path(self) -> Path | None:
        """The local file or folder; None if it is on a hub."""
        path = Path(self.source)
        return path if path.is_absolute() else None

    @property
    def repo(self) -> str:
        """The hub id, ``owner/name``."""
        return "/".join(self.source.split("/")[:2])

    @property
    def file(self) -> str:
        """The file in the hub's repository; "" if all of it is meant."""
        return "/".join(self.source.split("/")[2:])


class Lora(WeightSource, frozen=True, kw_only=True):
    """Low-rank changes of weights, in one file; ``weight``: how strongly they are added."""

    weight: float = 1.0


MAX_SIDE = int(SETTINGS["width"].bounds.most)
SMALL_SIDE = 1024  # pixels; every model is allowed pictures of this side


class Model(WeightSource, frozen=True, kw_only=True):
    """One offered model: a pipeline in diffusers layout, or a checkpoint in one file.

    Attributes:
        name: what recipes call it.
        configuration: of a checkpoint in one file: the folder with its shapes and vocabulary.
        vae: in place of the pipeline's own.
        loras: fused into the weights when they are loaded.
        scheduler_config: settings of the sampler in place of the pipeline's own.
    """

    name: str
    card: Card
    configuration: WeightSource | None = None
    vae: WeightSource | None = None
    loras: tuple[Lora, ...] = ()
    scheduler_config: dict[str, str | bool] = {}

    def check(self, recipe: Recipe) -> None:
        """Raise an error for a recipe that needs what this model cannot do.

        Raises:
            InvalidParameterError: its keyframes cannot look at another one, its pictures would have
                too long a side, or a prompt has signs for another program.
        """
        for field in ("width", "height"):
            if getattr(recipe, field) > self.largest_side:
                raise InvalidParameterError(
                    field,
                    f"{getattr(recipe, field)} pixels are too many for {self.name}, which would "
                    "repeat its subject",
                    f"give at most {self.largest_side}, and enlarge the film with upscale",
                )
        _check_signs(recipe)
        if recipe.anchor_attention and not self.card.anchor_attention:
            raise InvalidParameterError(
                "anchor_attention",
                f"the network of {self.name} looks at its pictures too coarsely for it",
                "switch it off, or choose a model of Stable Diffusion 1.x or SDXL",
            )

    @property
    def largest_side(self) -> int:
        """The most pixels of a side: twice those that it was trained on, if these are many."""
        defaults = self.card.defaults
        return max(SMALL_SIDE, min(2 * max(defaults.width, defaults.height), MAX_SIDE))

    @property
    def here(self) -> bool:
        """Whether all parts are local files, without a hub's cache."""
        parts = (self, self.configuration, self.vae, *self.loras)
        return all(part.path for part in parts if part)


def _check_signs(recipe: Recipe) -> None:
    """Raise an error for a LoRA or a choice inside a prompt, which nothing here understands."""
    texts = {f"scenes[{index}].prompt": scene.prompt for index, scene in enumerate(recipe.scenes)}
    texts["negative_prompt"] = recipe.negative_prompt
    for index, retake in enumerate(recipe.takes.values()):
        texts[f"retakes[{index}].prompt"] = retake.prompt or ""
    for field, text in texts.items():
        for sign, remedy in FOREIGN_SIGNS:
            if found := sign.search(text):
                problem = f"{found[0][:60]!r} is not understood in a prompt"
                raise InvalidParameterError(field, problem, remedy)
