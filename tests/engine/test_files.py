"""Private files and hashes."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from engine.files import file_sha256, write_private


def test_a_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"dawn" * 100_000)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"dawn" * 100_000).hexdigest()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_only_its_owner_can_read_a_private_file_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "engine.key"
    path.write_text("older, and open to all")
    path.chmod(0o644)
    write_private(path, b"secret")
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["engine.key"]
