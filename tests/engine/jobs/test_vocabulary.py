"""An engine with a model that has a vocabulary: what it tells clients, and what it paints."""

from pathlib import Path

import msgspec
import pytest

from engine.film.events import Planned
from engine.film.plan import Plan
from engine.models import Card, Model
from tests.conftest import a_recipe, an_engine, connected
from tests.stand_ins.vocabulary import WORLD

pytestmark = pytest.mark.anyio
CARD = Card(title="World", vocabulary=WORLD)
MODELS = {"landscapes": Model(name="landscapes", source="nowhere", card=CARD)}
RECIPE = a_recipe("a fox", "the fox by a lake", seed=2, spacing="even")


async def test_completed_prompts_are_reported_and_painted(tmp_path: Path) -> None:
    async with an_engine(tmp_path, models=MODELS) as engine, connected(engine) as client:
        await client.begin("job-fox-1", RECIPE)
        assert await client.ended("job-fox-1") == "Finished"
        planned = next(e.event for e in client.events("job-fox-1") if isinstance(e.event, Planned))
    assert planned.prompts == (
        "a fox, a forest, at night, the moon on the left, stars",
        "the fox by a lake, at night, the moon on the left, stars",
    )
    expected = Plan(RECIPE, model=planned.model, interpolator="none@0", vocabulary=WORLD)
    assert planned.keyframes == tuple(node.name for node in expected.keyframes)


async def test_a_vocabulary_is_sent_once_for_each_connection(tmp_path: Path) -> None:
    async with an_engine(tmp_path, models=MODELS) as engine, connected(engine) as client:
        assert (await client.connection.connected()).models[0].card == CARD
        before = client.connection.traffic.received
        assert (await client.connection.describe()).models[0].card == CARD
        size = client.connection.traffic.received - before
        assert 0 < size < len(msgspec.json.encode(WORLD))
