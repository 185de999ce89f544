"""Prompts as embeddings of a pipeline's text encoders: cached and mixed.

It knows how many encoders the families have; it knows no noise and paints nothing.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.film.graph import Blend
from engine.film.prompt_weights import is_plain
from engine.render.painting.noise import blended_embeddings
from engine.render.painting.weighted_prompts import Embedded, encode_weighted

CACHED_PROMPTS = 64  # prompts kept; 236 kB each with Stable Diffusion 1.5 in float32, 635 with SDXL


class Prompts:
    """Encodes prompts for one pipeline."""

    def __init__(self, pipe: Any, device: str) -> None:
        self._pipe, self._device = pipe, device
        self._known: OrderedDict[tuple[str, bool], Embedded] = OrderedDict()

    def arguments(
        self, prompts: Sequence[Blend], negative_prompt: str | None, *, weighted: bool = False
    ) -> dict[str, Tensor]:
        """Return the arguments of a pipeline's call that replace texts.

        Args:
            prompts: one for each row.
            negative_prompt: of all rows; None: no guidance.
            weighted: whether signs for weights are read, and all words of a long prompt.
        """
        rows = [self.mixed(prompt, weighted=weighted) for prompt in prompts]
        parts = {"prompt": rows}
        if negative_prompt is not None:
            parts["negative_prompt"] = [self.negative(negative_prompt, weighted=weighted)]
        most = max(each.tokens.shape[1] for part in parts.values() for each in part)
        found = {}
        for name, part in parts.items():
            filled = [self._filled(each, most) for each in part]
            prefix = "negative_" if name != "prompt" else ""
            repeats = len(rows) // len(filled)
            found[f"{prefix}prompt_embeds"] = torch.cat([each.tokens for each in filled] * repeats)
            pooled = [each.pooled for each in filled if each.pooled is not None]
            if pooled:
                found[f"{prefix}pooled_prompt_embeds"] = torch.cat(pooled * repeats)
        return found

    def mixed(self, prompt: Blend, *, weighted: bool = False) -> Embedded:
        """Return a mix of two prompts: each encoder's embeddings turned on their own arcs."""
        first, second = (
            self.encode(str(each), weighted=weighted) for each in (prompt.first, prompt.second)
        )
        most = max(first.tokens.shape[1], second.tokens.shape[1])
        first, second = self._filled(first, most), self._filled(second, most)
        tokens = blended_embeddings(first.tokens, second.tokens, prompt.position)
        if first.pooled is None or second.pooled is None:
            return Embedded(tokens, None)
        return Embedded(tokens, blended_embeddings(first.pooled, second.pooled, prompt.position))

    def negative(self, prompt: str, *, weighted: bool = False) -> Embedded:
        """Return a negative prompt; an empty one is zero if the model was trained so."""
        found = self.encode(prompt, weighted=weighted)
        if prompt or not getattr(self._pipe.config, "force_zeros_for_empty_prompt", False):
            return found
        return Embedded(*(torch.zeros_like(part) for part in found if part is not None))

    def encode(self, prompt: str, *, weighted: bool = False) -> Embedded:
        """Return a prompt's embeddings, cached."""
        key = prompt, weighted and not is_plain(prompt)
        if key not in self._known:
            self._known[key] = self._encode(*key)
        self._known.move_to_end(key)
        if len(self._known) > CACHED_PROMPTS:
            self._known.popitem(last=False)
        return self._known[key]

    def _encode(self, prompt: str, weighted: bool) -> Embedded:
        if weighted:
            return encode_weighted(self._pipe, prompt, self._device)
        found = self._pipe.encode_prompt(
            prompt=prompt,
            device=self._device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
        return Embedded(found[0], found[2] if len(found) > 2 else None)

    def _filled(self, found: Embedded, tokens: int) -> Embedded:
        """Return embeddings with as many tokens as asked, chunks of an empty prompt at the end."""
        missing = tokens - found.tokens.shape[1]
        if not missing:
            return found
        empty = self.encode("").tokens
        if not found.tokens.any():  # an empty negative prompt of a model that takes zeros for it
            empty = torch.zeros_like(empty)
        chunks = [empty] * (missing // empty.shape[1])
        return found._replace(tokens=torch.cat([found.tokens, *chunks], dim=1))
