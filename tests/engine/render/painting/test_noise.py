import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.film.graph import keyframe
from engine.film.recipe_json import parse_recipe
from engine.render.painting.noise import (
    blended_embeddings,
    blended_noise,
    drifted_noise,
    noise,
    slerp,
    turned_noise,
)

SHAPE = (1, 4, 8, 8)
positions = st.floats(0, 1, allow_nan=False)


@given(position=positions)
def test_the_norm_goes_from_one_to_the_other(position: float) -> None:
    first, second = noise(1, SHAPE), 3 * noise(2, SHAPE)
    blended = slerp(first, second, position)
    expected = (1 - position) * first.norm() + position * second.norm()
    assert blended.norm() == pytest.approx(expected.item(), rel=1e-5)


@given(position=positions)
def test_the_direction_turns_at_constant_speed(position: float) -> None:
    first, second = noise(1, SHAPE), noise(2, SHAPE)
    blended = slerp(first, second, position)
    assert _angle(first, blended) == pytest.approx(position * _angle(first, second), abs=2e-3)


def test_the_ends_are_exact() -> None:
    first, second = noise(1, SHAPE), noise(2, SHAPE)
    assert slerp(first, second, 0.0) is first
    assert slerp(first, second, 1.0) is second


def test_a_plain_mean_would_be_too_weak() -> None:
    """The reason for slerp: the mean of two noises has 0.71 times their strength."""
    first, second = noise(1, (1, 4, 64, 64)), noise(2, (1, 4, 64, 64))
    assert ((first + second) / 2).std() < 0.75 < 0.98 < slerp(first, second, 0.5).std() < 1.02


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0], ids=["equal", "parallel", "opposite"])
def test_vectors_without_an_arc_give_finite_numbers(factor: float) -> None:
    first = noise(1, SHAPE)
    assert slerp(first, factor * first, 0.3).isfinite().all()


def test_zeros_give_zeros() -> None:
    zeros = torch.zeros(SHAPE)
    assert torch.equal(slerp(zeros, zeros, 0.5), zeros)


def test_noise_is_what_diffusers_draws_for_a_seed() -> None:
    generator = torch.Generator("cpu").manual_seed(7)
    assert torch.equal(noise(7, SHAPE), torch.randn(SHAPE, generator=generator))


def test_seeds_up_to_the_last_are_accepted_and_differ() -> None:
    assert not torch.equal(noise(2**32 - 1, SHAPE), noise(0, SHAPE))


def test_blended_noise_at_zero_is_the_first_seeds() -> None:
    assert torch.equal(blended_noise(5, 6, 0.0, SHAPE), noise(5, SHAPE))


def test_without_drift_the_noise_is_the_seeds() -> None:
    assert torch.equal(drifted_noise(5, SHAPE, 0.0), noise(5, SHAPE))


def test_the_ground_moves_and_the_sky_stays() -> None:
    still, moved = noise(5, SHAPE), drifted_noise(5, SHAPE, 3 / 8)
    assert torch.equal(moved[..., :3, :], still[..., :3, :])
    assert not torch.equal(moved[..., 4:, :], still[..., 4:, :])
    assert torch.equal(moved[..., 7, :-3], still[..., 7, 3:])


def test_far_drift_is_as_strong_as_the_start() -> None:
    assert drifted_noise(5, (1, 4, 32, 32), 7.3).std() == pytest.approx(1, abs=0.05)


def test_each_token_keeps_its_own_norm() -> None:
    first, second = torch.randn(1, 5, 32), torch.randn(1, 5, 32)
    first[:, 0] *= 30  # as CLIP's first token
    second[:, 0] *= 30
    norms = blended_embeddings(first, second, 0.25).norm(dim=-1)
    assert torch.allclose(norms, 0.75 * first.norm(dim=-1) + 0.25 * second.norm(dim=-1), rtol=1e-5)


def test_tokens_that_agree_stay_as_they_are() -> None:
    first, second = torch.randn(1, 5, 32), torch.randn(1, 5, 32)
    second[:, :2] = first[:, :2]
    blended = blended_embeddings(first, second, 0.5)
    assert torch.allclose(blended[:, :2], first[:, :2], rtol=1e-5)


def test_half_precision_stays_half_precision() -> None:
    first, second = noise(1, SHAPE).half(), noise(2, SHAPE).half()
    assert slerp(first, second, 0.5).dtype == torch.float16


def _angle(a: torch.Tensor, b: torch.Tensor) -> float:
    cosine = (a * b).sum() / (a.norm() * b.norm())
    return float(cosine.clamp(-1, 1).arccos())


@pytest.mark.parametrize(("seconds", "drift"), [(4.0, 0.0), (8.0, 0.1), (60.0, 0.5)])
def test_a_walk_that_comes_round_is_even_and_closed(seconds: float, drift: float) -> None:
    film = parse_recipe(
        {"scenes": [{"prompt": "a", "seconds": seconds}], "loop": True, "drift": drift}
    )

    def at(share: float) -> Tensor:
        node = keyframe(film, share * seconds, "m@1")
        assert node.turn
        return turned_noise(int(node.noise.first), node.turn, SHAPE, node.drift)

    assert torch.allclose(at(1.0), at(0.0), atol=1e-5)
    assert 0.9 < float(at(0.3).std()) < 1.1
    if not drift:
        steps = [float((at((i + 1) / 12) - at(i / 12)).norm()) for i in range(12)]
        assert max(steps) < 1.5 * min(steps)


def test_the_ground_may_have_moved_to_the_right() -> None:
    rest, moved = noise(7, SHAPE), drifted_noise(7, SHAPE, -0.5)
    width = SHAPE[-1]
    assert torch.equal(moved[..., -1, width // 2 :], rest[..., -1, : width // 2])
    assert torch.equal(moved[..., 0, :], rest[..., 0, :])
