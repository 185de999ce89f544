from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from engine.film.fields import Bounds, fields_of
from engine.film.recipe import SETTINGS, Recipe
from engine.film.recipe_json import parse_recipe


class Example(msgspec.Struct):
    speed: Annotated[float, Meta(ge=0, le=2, title="Speed", extra={"step": 0.5})] = 1.0
    count: Annotated[int, Meta(ge=0, lt=8, title="Count", description="How many.")] = 3
    side: Annotated[Annotated[int, Meta(ge=8, le=64, multiple_of=8)], Meta(title="Side")] = 8
    way: (
        Annotated[Literal["up", "down"], Meta(extra={"names": {"up": "Upwards"}})]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    note: Annotated[str, Meta(max_length=5)] = ""
    deep: bool = False
    free: int = 0


FIELDS = fields_of(Example)


def test_a_field_has_its_label_help_limits_and_step() -> None:
    speed, count, side = FIELDS["speed"], FIELDS["count"], FIELDS["side"]
    assert (speed.title, speed.bounds, speed.step, speed.default) == ("Speed", (0, 2), 0.5, 1.0)
    assert (count.description, count.bounds, count.step) == ("How many.", (0, 7), 1)
    assert (side.bounds, side.step) == ((8, 64), 8)
    with pytest.raises(TypeError, match="free"):
        _ = FIELDS["free"].bounds


def test_what_is_refused_has_a_remedy_made_of_the_type() -> None:
    assert {name: field.remedy for name, field in FIELDS.items()} == {
        "speed": "give a number from 0 to 2",
        "count": "give a whole number from 0 to 7",
        "side": "give a multiple of 8 from 8 to 64",
        "way": "choose one of: up, down",
        "note": "give at most 5 characters",
        "deep": "give true or false",
        "free": "",
    }


def test_values_are_read_and_shown() -> None:
    assert FIELDS["speed"].parse(" 1.5 ") == 1.5
    assert FIELDS["way"].parse("down") == "down"
    for name, text in (("speed", "2.1"), ("speed", "nan"), ("side", "12"), ("way", "left")):
        with pytest.raises(msgspec.ValidationError):
            FIELDS[name].parse(text)
    assert [FIELDS["way"].format(way) for way in ("up", "down")] == ["Upwards", "down"]
    assert (FIELDS["speed"].format(1.0), FIELDS["deep"].format(True)) == ("1", "yes")


def test_a_number_is_moved_into_the_bounds() -> None:
    assert [Bounds(1, 5).clamp(value) for value in (0, 3, 9)] == [1, 3, 5]


def test_each_setting_has_words_limits_and_a_default_that_it_accepts() -> None:
    for name, field in SETTINGS.items():
        assert field.description, name
        assert field.limits or field.names or field.kind is bool, name
        if field.default is None:  # nothing that can be given means the same as leaving it out
            continue
        assert parse_recipe({"scenes": [{"prompt": "a"}], name: field.default}) == Recipe(
            scenes=parse_recipe({"scenes": [{"prompt": "a"}]}).scenes
        )
