"""Prompts as embeddings of a pipeline's text encoders: cached and mixed.

It knows how many encoders the families have; it knows no noise and paints nothing.
"""

from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.film.graph import Blend
from engine.render.painting.noise import blended_embeddings

CACHED_PROMPTS = 64  # prompts kept; 236 kB each with Stable Diffusion 1.5 in float32, 635 with SDXL


class Embedded(NamedTuple):
    """The embeddings of a prompt.

    Attributes:
        tokens: ``(1, tokens, width)``; with SDXL both encoders' side by side.
        pooled: ``(1, width)`` of SDXL's second encoder; None with Stable Diffusion 1.5.
    """

    tokens: Tensor
    pooled: Tensor | None


class Prompts:
    """Encodes prompts for one pipeline."""

    def __init__(self, pipe: Any, device: str) -> None:
        self._pipe, self._device = pipe, device
        self._known: OrderedDict[str, Embedded] = OrderedDict()

    def arguments(self, prompt: Blend, negative_prompt: str | None) -> dict[str, Tensor]:
        """Return the arguments of a pipeline's call that replace texts; None: no guidance."""
        positive = self.mixed(prompt)
        found = {"prompt_embeds": positive.tokens}
        if positive.pooled is not None:
            found["pooled_prompt_embeds"] = positive.pooled
        if negative_prompt is not None:
            negative = self.negative(negative_prompt)
            found["negative_prompt_embeds"] = negative.tokens
            if negative.pooled is not None:
                found["negative_pooled_prompt_embeds"] = negative.pooled
        return found

    def mixed(self, prompt: Blend) -> Embedded:
        """Return a mix of two prompts: each encoder's embeddings turned on their own arcs."""
        first, second = self.encode(str(prompt.first)), self.encode(str(prompt.second))
        tokens = blended_embeddings(first.tokens, second.tokens, prompt.position)
        if first.pooled is None or second.pooled is None:
            return Embedded(tokens, None)
        return Embedded(tokens, blended_embeddings(first.pooled, second.pooled, prompt.position))

    def negative(self, prompt: str) -> Embedded:
        """Return a negative prompt; an empty one is zero if the model was trained so."""
        found = self.encode(prompt)
        if prompt or not getattr(self._pipe.config, "force_zeros_for_empty_prompt", False):
            return found
        return Embedded(*(torch.zeros_like(part) for part in found if part is not None))

    def encode(self, prompt: str) -> Embedded:
        """Return a prompt's embeddings, cached."""
        if prompt not in self._known:
            found = self._pipe.encode_prompt(
                prompt=prompt,
                device=self._device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=False,
            )
            self._known[prompt] = Embedded(found[0], found[2] if len(found) > 2 else None)
        self._known.move_to_end(prompt)
        if len(self._known) > CACHED_PROMPTS:
            self._known.popitem(last=False)
        return self._known[prompt]
