from typing import Any

import msgspec
import pytest

from engine.errors import LimitError, VisionFluxError
from engine.film.recipe import Recipe, largest_upscale
from engine.film.recipe_json import encode_recipe, parse_recipe

GOOD: dict[str, Any] = {"scenes": [{"prompt": "dawn over the sea"}]}

BAD: list[tuple[str, dict[str, Any]]] = [
    ("scenes", {"scenes": []}),
    ("scenes[0].prompt", {"scenes": [{"prompt": ""}]}),
    ("scenes[0].prompt", {"scenes": [{"prompt": "  \n "}]}),
    ("scenes[0].prompt", {"scenes": [{"prompt": "a\0b"}]}),
    ("scenes[0].prompt", {"scenes": [{"prompt": "x" * 10_000_000}]}),
    ("scenes[1].prompt", {"scenes": [{"prompt": "a"}, {"prompt": "b\x1b[2J"}]}),
    ("scenes[0].seconds", {"scenes": [{"prompt": "a", "seconds": -1}]}),
    ("scenes", {"scenes": [{"prompt": "a", "seconds": 120}] * 3}),
    ("scenes", {"scenes": [{"prompt": "a"}] * 65}),
    ("negative_prompt", {"negative_prompt": "a\0"}),
    ("width", {"width": 515}),
    ("height", {"height": 8}),
    ("width", {"width": 4096}),
    ("seed", {"seed": -1}),
    ("seed", {"seed": 2**32}),
    ("seed", {"seed": 1.5}),
    ("fps", {"fps": 0}),
    ("num_inference_steps", {"num_inference_steps": 0}),
    ("guidance_scale", {"guidance_scale": 0}),
    ("guidance_scale", {"guidance_scale": "4"}),
    ("scheduler", {"scheduler": "magic"}),
    ("format", {"format": "avi"}),
    ("motion", {"motion": "teleport"}),
    ("version", {"version": 2}),
    ("surprise", {"surprise": 1}),
    ("model", {"model": ""}),
    ("upscale", {"upscale": 5}),
    ("upscale", {"upscale": 2.5}),
    ("upscale", {"upscale": 4, "width": 1024}),
    ("upscale", {"upscale": 4, "width": 832, "height": 832}),
]


@pytest.mark.parametrize(("field", "change"), BAD)
def test_bad_input_names_its_field(field: str, change: dict[str, Any]) -> None:
    with pytest.raises(VisionFluxError) as caught:
        parse_recipe(GOOD | change)
    assert caught.value.field == field
    assert caught.value.remedy or field in ("surprise", "model")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("data", [None, 3, "text", [], {}])
def test_what_is_no_recipe_is_refused(data: Any) -> None:
    with pytest.raises(VisionFluxError):
        parse_recipe(data)


def test_a_recipe_survives_json() -> None:
    recipe = parse_recipe(GOOD | {"negative_prompt": "übermäßig 'quoted' \n 日本"})
    assert parse_recipe(msgspec.json.decode(msgspec.json.encode(recipe))) == recipe


def test_frames_follow_from_duration_and_rate() -> None:
    recipe = parse_recipe({"scenes": [{"prompt": "a", "seconds": 2}] * 2, "fps": 24})
    assert (recipe.seconds, recipe.frames) == (4.0, 96)
    assert isinstance(recipe, Recipe)


def test_a_recipe_without_enlargement_is_as_it_was() -> None:
    made = parse_recipe(GOOD | {"upscale": 1})
    assert made == parse_recipe(GOOD)
    assert "upscale" not in encode_recipe(made)
    assert (made.enlargement, made.film_size) == (1, (256, 256))


@pytest.mark.parametrize(
    ("width", "height", "factor"),
    [(256, 256, 4), (960, 536, 4), (544, 960, 4), (768, 768, 4), (1024, 1024, 3), (1024, 576, 3)],
)
def test_enlarged_frames_fit_into_4k(width: int, height: int, factor: int) -> None:
    assert largest_upscale(width, height) == factor
    made = parse_recipe(GOOD | {"width": width, "height": height, "upscale": factor})
    assert made.film_size == (width * factor, height * factor)


def test_a_refusal_says_which_size_fits() -> None:
    with pytest.raises(LimitError, match="4096x2304") as caught:
        parse_recipe(GOOD | {"width": 1024, "height": 576, "upscale": 4})
    assert "3072x1728" in caught.value.remedy
