"""The private parts of libraries that ``engine._compat`` borrows are still there."""

import inspect

import pytest
from huggingface_hub import _snapshot_download, file_download
from websockets.asyncio.connection import Connection
from websockets.protocol import Protocol, Side

from engine import _compat


def test_websockets_connection_has_send_context() -> None:
    assert inspect.isfunction(Connection.send_context)
    assert hasattr(Connection.send_context, "__wrapped__")  # a context manager


def test_websockets_protocol_has_writes() -> None:
    assert Protocol(Side.SERVER).writes == []


@pytest.mark.parametrize("module", [_snapshot_download, file_download])
def test_huggingface_hub_describes_its_bar_of_received_bytes(module: object) -> None:
    source = inspect.getsource(module)  # type: ignore[arg-type]
    assert "downloading bytes" in source.lower()


def test_only_bars_of_written_bytes_count() -> None:
    assert _compat.counts_written_bytes({"unit": "B", "desc": "model.safetensors"})
    assert not _compat.counts_written_bytes({"unit": "B", "desc": "Downloading bytes"})
    assert not _compat.counts_written_bytes({"unit": "it", "desc": "Fetching 5 files"})
