"""Prompts are encoded once, for every family."""

from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from engine.film.graph import Blend
from engine.render.painting import prompts
from engine.render.painting.prompts import Prompts
from tests.stand_ins.pipelines import save_tiny_pipeline, save_tiny_xl


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")
    return StableDiffusionPipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save_tiny_xl(tmp_path_factory.mktemp("models") / "tiny")
    return StableDiffusionXLPipeline.from_pretrained(folder)


@pytest.fixture(params=["small", "large"])
def pipe(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_embeddings_are_remembered(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = pipe.encode_prompt

    def counting(*, prompt: str, **rest: Any) -> Any:
        encoded.append(prompt)
        return encode(prompt=prompt, **rest)

    monkeypatch.setattr(pipe, "encode_prompt", counting)
    known = Prompts(pipe, "cpu")
    for position in (0.0, 0.25, 0.5):
        known.arguments(Blend("a sea", "a city", position), "fog")
    assert sorted(encoded) == ["a city", "a sea", "fog"]


def test_only_so_many_embeddings_are_kept(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "CACHED_PROMPTS", 3)
    known = Prompts(pipe, "cpu")
    for prompt in "abcde":
        known.encode(prompt)
    assert list(known._known) == list("cde")


def test_shapes_are_the_documented_ones(small: Any, large: Any) -> None:
    of_small, of_large = (Prompts(pipe, "cpu").encode("a sea") for pipe in (small, large))
    assert (of_small.tokens.shape, of_small.pooled) == ((1, 16, 32), None)
    assert of_large.pooled is not None
    assert (of_large.tokens.shape, of_large.pooled.shape) == ((1, 16, 32 + 48), (1, 48))


def test_an_unguided_picture_takes_no_negative_prompt(pipe: Any) -> None:
    arguments = Prompts(pipe, "cpu").arguments(Blend("a sea", "a sea", 0.0), None)
    assert not [name for name in arguments if "negative" in name]


def test_position_zero_is_the_first_prompt_exactly(pipe: Any) -> None:
    known = Prompts(pipe, "cpu")
    mixed, first = known.mixed(Blend("a sea", "a city", 0.0)), known.encode("a sea")
    for ours, theirs in zip(mixed, first, strict=True):
        assert ours is theirs is None or torch.equal(ours, theirs)
