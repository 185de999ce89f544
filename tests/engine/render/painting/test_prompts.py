"""Prompts are encoded once, for every family; weights and long prompts as people are used to."""

import copy
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from engine.film.graph import Blend
from engine.render.painting import prompts
from engine.render.painting.prompts import Prompts
from engine.render.painting.weighted_prompts import Embedded, encode_weighted
from tests.stand_ins.pipelines import LENGTH, save_tiny_pipeline, save_tiny_xl


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
        known.arguments([Blend("a sea", "a city", position)], "fog")
    assert sorted(encoded) == ["a city", "a sea", "fog"]


def test_only_so_many_embeddings_are_kept(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "CACHED_PROMPTS", 3)
    known = Prompts(pipe, "cpu")
    for prompt in "abcde":
        known.encode(prompt)
    assert [prompt for prompt, _ in known._known] == list("cde")


def test_shapes_are_the_documented_ones(small: Any, large: Any) -> None:
    of_small, of_large = (Prompts(pipe, "cpu").encode("a sea") for pipe in (small, large))
    assert (of_small.tokens.shape, of_small.pooled) == ((1, 16, 32), None)
    assert of_large.pooled is not None
    assert (of_large.tokens.shape, of_large.pooled.shape) == ((1, 16, 32 + 48), (1, 48))


def test_an_unguided_picture_takes_no_negative_prompt(pipe: Any) -> None:
    arguments = Prompts(pipe, "cpu").arguments([Blend("a sea", "a sea", 0.0)], None)
    assert not [name for name in arguments if "negative" in name]


def test_position_zero_is_the_first_prompt_exactly(pipe: Any) -> None:
    known = Prompts(pipe, "cpu")
    mixed, first = known.mixed(Blend("a sea", "a city", 0.0)), known.encode("a sea")
    for ours, theirs in zip(mixed, first, strict=True):
        assert ours is theirs is None or torch.equal(ours, theirs)


def encoded(pipe: Any, prompt: str) -> Embedded:
    return encode_weighted(pipe, prompt, "cpu")


def same(found: Embedded, expected: Embedded) -> bool:
    return all(
        ours is theirs is None or torch.allclose(ours, theirs, atol=1e-5)
        for ours, theirs in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("prompt", ["a sea", "", "(a sea:1.0)"])
def test_without_weights_the_embeddings_are_the_pipelines(pipe: Any, prompt: str) -> None:
    plain = Prompts(pipe, "cpu").encode(prompt.strip("():1.0") if prompt else "")
    assert same(encoded(pipe, prompt), plain)


def test_plain_prompts_take_the_pipelines_own_way(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "encode_weighted", None)
    known = Prompts(pipe, "cpu")
    plain = known.arguments([Blend("a sea", "a fox", 0.5)], "fog", weighted=True)
    for name, value in known.arguments([Blend("a sea", "a fox", 0.5)], "fog").items():
        assert torch.equal(plain[name], value)


def ratios(pipe: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ratios of "a (sea:1.5)" to "a sea": of the tokens of "sea", and of others."""
    plain, weighted = encoded(pipe, "a sea").tokens, encoded(pipe, "a (sea:1.5)").tokens
    before, sea = (len(pipe.tokenizer.tokenize(text)) for text in ("a ", "sea"))
    every = (weighted / plain)[0]
    at = 1 + before
    return every[at : at + sea], torch.cat([every[:at], every[at + sea :]])


def test_each_token_is_multiplied_by_its_weight(small: Any) -> None:
    of_sea, others = ratios(small)  # the embeddings of random weights have no mean
    assert torch.allclose(of_sea, torch.full_like(of_sea, 1.5), atol=1e-4)
    assert torch.allclose(others, torch.ones_like(others), atol=1e-4)


def test_the_mean_is_kept_where_there_is_one(small: Any) -> None:
    small = copy.deepcopy(small)
    encoder = small.text_encoder
    norm = getattr(encoder, "text_model", encoder).final_layer_norm
    torch.nn.init.constant_(norm.bias, 0.5)
    plain, weighted = encoded(small, "a sea").tokens, encoded(small, "a (sea:1.5)").tokens
    assert weighted.mean().item() == pytest.approx(plain.mean().item(), rel=1e-4)
    of_sea, others = ratios(small)
    assert (of_sea.median() / others.median()).item() == pytest.approx(1.5, rel=1e-3)


def test_all_words_of_a_long_prompt_count(pipe: Any) -> None:
    words = ["a"] * 20 + ["sea"]
    long, other = " ".join(words), " ".join([*words[:-1], "fox"])
    of_long, of_other = (encoded(pipe, text).tokens for text in (long, other))
    first = encoded(pipe, " ".join(words[:14])).tokens  # 14 words of a token each fill a chunk
    assert of_long.shape[1] > first.shape[1] == LENGTH
    assert torch.allclose(of_long[:, :LENGTH], first, atol=1e-5)
    assert not torch.allclose(of_long, of_other)


def test_a_chunk_ends_at_a_comma_that_is_near(pipe: Any) -> None:
    found = encoded(pipe, "a a a a a a a a a a, a a a a a a")
    expected = [encoded(pipe, part).tokens for part in ("a a a a a a a a a a,", "a a a a a a")]
    assert torch.allclose(found.tokens, torch.cat(expected, dim=1), atol=1e-5)


def test_break_begins_a_chunk(pipe: Any) -> None:
    parts = [encoded(pipe, text).tokens for text in ("a sea", "a fox")]
    found = encoded(pipe, "a sea BREAK a fox").tokens
    assert torch.allclose(found, torch.cat(parts, dim=1), atol=1e-5)


def test_rows_and_the_negative_prompt_become_as_long_as_the_longest(pipe: Any) -> None:
    rows = [Blend("a sea", "a sea", 0.0), Blend("a sea", "a BREAK b BREAK c", 0.5)]
    found = Prompts(pipe, "cpu").arguments(rows, "fog", weighted=True)
    assert found["prompt_embeds"].shape[:2] == (2, 3 * LENGTH)
    assert found["negative_prompt_embeds"].shape == found["prompt_embeds"].shape
    empty = Prompts(pipe, "cpu").encode("").tokens
    assert torch.equal(found["prompt_embeds"][:1, LENGTH:], torch.cat([empty, empty], dim=1))


def test_an_empty_negative_prompt_stays_zero_where_the_model_takes_zeros(large: Any) -> None:
    rows = [Blend("a BREAK b", "a BREAK b", 0.0)]
    found = Prompts(large, "cpu").arguments(rows, "", weighted=True)
    assert large.config.force_zeros_for_empty_prompt
    assert found["negative_prompt_embeds"].shape == found["prompt_embeds"].shape
    assert not found["negative_prompt_embeds"].any()


def test_a_pipeline_paints_with_weights_and_long_prompts(pipe: Any) -> None:
    pipe.set_progress_bar_config(disable=True)

    def painted(prompt: str) -> Any:
        known = Prompts(pipe, "cpu")
        asked = known.arguments([Blend(prompt, prompt, 0.0)], "", weighted=True)
        noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        size = {"width": 64, "height": 64, "num_inference_steps": 2, "output_type": "np"}
        return torch.from_numpy(pipe(**asked, **size, latents=noise).images)

    plain, weighted, long = (painted(p) for p in ("a sea", "a (sea:2)", "a sea " * 12))
    assert not torch.allclose(plain, weighted)
    assert not torch.allclose(plain, long)
