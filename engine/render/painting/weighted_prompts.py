"""Encodes prompts with weights, and prompts of more tokens than a text encoder takes at once.

As the common web interface does: 75 tokens at a time, each such chunk with a beginning and an end,
their embeddings one after the other; each token's embedding times its weight, then all of them
scaled so that their mean is what it was. It knows tokenizers and text encoders; it caches nothing.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.film.prompt_weights import parts_of

LOOK_BACK = 20  # tokens before the end of a chunk in which a comma is a better place to end it
LEAST_MEAN = 1e-3  # of embeddings, as a share of their spread; a smaller one is chance
LARGE_LAYER = -2  # SDXL's encoders give their last layer but one


class Token(NamedTuple):
    """A token of a prompt and how much it counts."""

    id: int
    weight: float


class Embedded(NamedTuple):
    """The embeddings of a prompt.

    Attributes:
        tokens: ``(1, tokens, width)``; with SDXL both encoders' side by side.
        pooled: ``(1, width)`` of SDXL's second encoder; None with Stable Diffusion 1.5.
    """

    tokens: Tensor
    pooled: Tensor | None


def encode_weighted(pipe: Any, prompt: str, device: str) -> Embedded:
    """Return the embeddings of a prompt with weights, of any length.

    With two encoders the shorter of their embeddings is filled up with chunks of an empty prompt.
    """
    encoders = [(pipe.tokenizer, pipe.text_encoder)]
    if large := getattr(pipe, "tokenizer_2", None):
        encoders.append((large, pipe.text_encoder_2))
    chunks = [list(_chunks(pipe, prompt, tokenizer)) for tokenizer, _ in encoders]
    most = max(map(len, chunks))
    found = [
        _encode(parts + [[]] * (most - len(parts)), *encoder, device, bool(large))
        for parts, encoder in zip(chunks, encoders, strict=True)
    ]
    pooled = found[-1].pooled if large else None  # of the whole prompt's first chunk
    return Embedded(torch.cat([each.tokens for each in found], dim=-1), pooled)


def _chunks(pipe: Any, prompt: str, tokenizer: Any) -> Iterator[list[Token]]:
    """Yield a prompt's tokens, as many at a time as the encoder takes; one empty chunk at least.

    A textual inversion has as many tokens as it has embeddings.
    """
    room, comma = tokenizer.model_max_length - 2, _ids(tokenizer, ",")
    chunk: list[Token] = []
    parts = parts_of(prompt)
    for text, weight in parts:
        if text is None:
            yield chunk
            chunk = []
            continue
        for token in _ids(tokenizer, pipe.maybe_convert_prompt(text, tokenizer)):
            if len(chunk) == room:
                full, chunk = _at_comma(chunk, comma)
                yield full
            chunk.append(Token(token, weight))
    yield chunk


def _at_comma(chunk: list[Token], comma: list[int]) -> tuple[list[Token], list[Token]]:
    """Return a full chunk up to its last comma, if that is near its end, and what is left."""
    for back in range(min(LOOK_BACK, len(chunk) - 1)):
        if [chunk[-1 - back].id] == comma:
            return chunk[: len(chunk) - back], chunk[len(chunk) - back :]
    return chunk, []


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False, truncation=False).input_ids
    return found


def _encode(
    chunks: list[list[Token]], tokenizer: Any, encoder: Any, device: str, large: bool
) -> Embedded:
    length = tokenizer.model_max_length
    begin, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    ids = [[begin, *(token.id for token in chunk), end] for chunk in chunks]
    filled = torch.tensor([row + [pad] * (length - len(row)) for row in ids])
    outputs = encoder(filled.to(device), output_hidden_states=large)
    states: Tensor = outputs.hidden_states[LARGE_LAYER] if large else outputs[0]
    states = states.reshape(1, -1, states.shape[-1])
    weights = [[1.0, *(token.weight for token in chunk)] for chunk in chunks]
    row = list(chain.from_iterable(each + [1.0] * (length - len(each)) for each in weights))
    if any(weight != 1 for weight in row):
        states = _weighted(states, torch.tensor(row, device=states.device)[:, None])
    return Embedded(states, outputs[0][:1] if large else None)


def _weighted(states: Tensor, weights: Tensor) -> Tensor:
    """Return embeddings times weights ``(tokens, 1)``, with the mean that they had."""
    exact = states.float()
    weighted = exact * weights
    before, after = exact.mean(), weighted.mean()
    if min(before.abs(), after.abs()) > LEAST_MEAN * exact.std():
        weighted = weighted * (before / after)
    return weighted.to(states.dtype)
