"""The posters of enlarged films, as the app keeps them."""

from pathlib import Path

import pytest
from PIL import Image

from ui.engines.downloads import fit_poster


@pytest.mark.parametrize(
    ("size", "kept"), [((2560, 1440), (1280, 720)), ((900, 1280), (900, 1280))], ids=str
)
def test_a_large_poster_is_reduced(
    size: tuple[int, int], kept: tuple[int, int], tmp_path: Path
) -> None:
    file = tmp_path / "poster.png"
    Image.new("RGB", size, "teal").save(file)
    before = file.read_bytes()
    fit_poster(file)
    with Image.open(file) as poster:
        assert (poster.size, poster.format) == (kept, "PNG")
    assert (file.read_bytes() == before) == (size == kept)
