"""What the Create page says of models, from their cards alone."""

import pytest
from msgspec import structs

from engine.models import KNOWN, Card, Defaults
from ui.create.model_panel import facts
from ui.create.settings_panel import negative_prompt, sizes


@pytest.mark.parametrize("model", KNOWN.values(), ids=lambda model: model.name)
def test_a_known_model_shows_licence_size_steps_and_negative_prompt(model: object) -> None:
    said = facts(model.card)  # type: ignore[attr-defined]
    assert set(said) == {"Made for", "Negative prompt", "Download", "Memory", "Licence"}
    assert "GB" in said["Download"]
    assert said["Made for"].startswith(f"{model.card.defaults.num_inference_steps} steps")  # type: ignore[attr-defined]


def test_unknown_facts_are_not_shown() -> None:
    assert set(facts(Card(title="Mine"))) == {"Made for", "Negative prompt"}


def test_each_kind_of_model_treats_negative_prompts_in_its_own_way() -> None:
    guided = KNOWN["stable-diffusion-1.5"].card
    unguided = KNOWN["sdxl-lightning"].card
    deaf = structs.replace(guided, negative_prompt="ignored")
    said = [negative_prompt(card) for card in (guided, unguided, deaf)]
    assert len(set(said)) == 3
    assert "ignores negative prompts" in said[2]


@pytest.mark.parametrize(
    ("size", "offered"),
    [
        ((256, 256), {"Square": (256, 256), "Wide": (344, 192), "Tall": (192, 344)}),
        ((448, 256), {"Wide": (448, 256), "Tall": (256, 448), "Square": (256, 256)}),
        ((256, 448), {"Tall": (256, 448), "Wide": (448, 256), "Square": (256, 256)}),
    ],
)
def test_sizes_are_those_of_the_model(
    size: tuple[int, int], offered: dict[str, tuple[int, int]]
) -> None:
    found = sizes(Defaults(width=size[0], height=size[1]))
    assert [*found.items()] == [*offered.items()]
