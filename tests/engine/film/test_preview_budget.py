import pytest

from engine.film import events
from engine.film.preview_budget import SETTINGS, PreviewBudget, to_come
from engine.film.progress import Progress, fold
from engine.film.recipe import Recipe, Scene

MEGABYTE = 1_000_000


def a_film(seconds: float) -> Recipe:
    return Recipe(scenes=(Scene(prompt="dawn", seconds=seconds),))


def begun(recipe: Recipe) -> Progress:
    """Return the state of a film whose plan is known and of which nothing is finished."""
    gaps = recipe.frames // recipe.interpolation_factor
    planned = events.Planned(
        keyframes=("k",) * (gaps + 1),
        segments=("s",) * gaps,
        segment_frames=(recipe.interpolation_factor,) * gaps,
        frames=recipe.frames,
        model="m",
        interpolator="i",
    )
    return fold([events.Logged(seq=1, at=0.0, event=planned)])


def watched(recipe: Recipe, budget: int | None, weight: float) -> list[tuple[int, int]]:
    """Take all previews of a film, each ``weight`` times its guess; return (side, size) of each."""
    progress, purse, taken = begun(recipe), PreviewBudget(budget), []

    def offer(kind: str, step: int) -> None:
        setting = purse.choose(progress, recipe)
        if setting.shows(kind, step) and not purse.empty:
            size = round(setting.guess * weight)
            purse.spend(size, setting)
            taken.append((setting.side, size))

    for index in range(len(progress.keyframes)):
        for step in range(1, recipe.num_inference_steps + 1):
            offer("step", step)
        offer("keyframe", recipe.num_inference_steps)
        progress.keyframes[index] = "done"
        if index:
            for frame in range(1, recipe.interpolation_factor + 1):
                offer("frame", frame)
            progress.segments[index - 1] = "done"
    return taken


def test_without_a_budget_everything_goes_at_its_best() -> None:
    recipe = a_film(4)
    taken = watched(recipe, None, 3.0)
    assert len(taken) == to_come(begun(recipe), recipe, every=1)
    assert {side for side, _ in taken} == {SETTINGS[0].side}


@pytest.mark.parametrize("weight", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("budget", [MEGABYTE // 2, MEGABYTE, 6 * MEGABYTE])
@pytest.mark.parametrize("seconds", [1, 4, 30])
def test_a_budget_is_spent_over_the_whole_film_and_not_exceeded(
    seconds: float, budget: int, weight: float
) -> None:
    recipe = a_film(seconds)
    taken = watched(recipe, budget, weight)
    spent = sum(size for _, size in taken)
    assert spent < budget + max(size for _, size in taken)
    least = 2 * len(begun(recipe).keyframes)  # the first and the last of each keyframe
    if least * SETTINGS[-1].guess * weight * 2 < budget:
        assert spent < budget
        assert len(taken) >= least
    enough = to_come(begun(recipe), recipe, every=1) * SETTINGS[0].guess * weight
    if enough < budget:
        assert {side for side, _ in taken} == {SETTINGS[0].side}


def test_less_to_spend_means_smaller_or_fewer_previews() -> None:
    recipe = a_film(10)
    spent = [
        sum(size for _, size in watched(recipe, int(budget * MEGABYTE), 1.0))
        for budget in (0.2, 0.5, 1, 3, 6)
    ]
    assert spent == sorted(spent)
    assert spent[0] < spent[-1] / 5


def test_a_slow_link_gets_smaller_previews_and_a_quick_one_larger_ones_again() -> None:
    recipe, purse = a_film(1), PreviewBudget()
    for _ in range(20):
        purse.acknowledged(5.0)
    assert purse.choose(begun(recipe), recipe) == SETTINGS[-1]
    for _ in range(20):
        purse.acknowledged(0.05)
    assert purse.choose(begun(recipe), recipe) == SETTINGS[0]


def test_the_first_and_the_last_of_a_keyframe_go_at_every_setting() -> None:
    for setting in SETTINGS:
        assert setting.shows("step", 1)
        assert setting.shows("keyframe", 20)


def test_an_empty_purse_stays_empty() -> None:
    purse = PreviewBudget(100)
    purse.spend(101, SETTINGS[0])
    assert purse.empty
    assert PreviewBudget(0).empty
