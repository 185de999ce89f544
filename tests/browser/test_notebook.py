"""The notebook as the Connection page hands it out."""

from collections.abc import Callable

import nbformat
import pytest

from tests.browser.conftest import PATIENCE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_connection_page_hands_out_the_notebook(visit: Callable[..., Visitor]) -> None:
    page = visit().open("/connection")
    with page.expect_download(timeout=PATIENCE) as download:
        page.get_by_role("button", name="Get the notebook").click()
    assert download.value.suggested_filename == "VisionFlux_Engine.ipynb"
    read = nbformat.read(download.value.path(), as_version=4)
    nbformat.validate(read)
    assert "key to your engine" in read.cells[0].source
