import inspect

import pytest

from engine import errors
from engine.errors import VisionFluxError


def test_codes_are_unique() -> None:
    codes = [found.code for found in errors.tree()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("found", errors.tree(), ids=lambda found: found.code)
def test_the_drawn_tree_has_every_class(found: type[VisionFluxError]) -> None:
    assert found.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("found", errors.tree(), ids=lambda found: found.code)
def test_every_error_survives_the_wire(found: type[VisionFluxError]) -> None:
    wanted = [p for p in list(inspect.signature(found).parameters.values())]
    needed = [p for p in wanted if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    error = found(*(["x"] if "list" in str(p.annotation) else "what" for p in needed))
    restored = VisionFluxError.restore(error.report())
    assert type(restored) is found
    assert restored.report() == error.report()
    assert str(restored) == str(error)
