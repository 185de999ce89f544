"""The place of an output: refused before any work, held while the work is done, filled at the end.

It knows files and folders; it knows no films, engines or networks.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from engine.errors import InvalidParameterError, StorageError

RESERVED_BYTES = 2**20  # of the disk, held until the output is written
ANOTHER = "give another with -o"


def check_output(output: Path, *, overwrite: bool) -> None:
    """Check a place without writing anything.

    Raises:
        InvalidParameterError: it is a folder, or a file that must not be replaced.
        StorageError: its folder is missing, or the system refuses the name.
    """
    with explained(output):
        folder = output.absolute().parent
        if not folder.is_dir():
            problem = f"the folder of {output} does not exist"
            raise StorageError(problem, remedy=f"create it, or {ANOTHER}", field="output")
        if output.is_dir():
            raise InvalidParameterError("output", f"{output} is a folder", "give a file with -o")
        if not os.path.lexists(output):
            os.stat(folder)
            _check_name(output)
        elif not output.is_file():
            raise InvalidParameterError("output", f"{output} is not a regular file", ANOTHER)
        elif not overwrite:
            remedy = f"add --overwrite to replace it, or {ANOTHER}"
            raise InvalidParameterError("output", f"{output} exists", remedy)


def _check_name(output: Path) -> None:
    """Raise what the system says of a name; a missing file is what is wanted."""
    with contextlib.suppress(FileNotFoundError):
        output.lstat()


class Claim:
    """A place that this process alone may write, with a little of the disk reserved."""

    def __init__(self, output: Path) -> None:
        whole = output.absolute()
        digest = hashlib.sha256(os.fsencode(whole.name)).hexdigest()[:12]
        hidden = whole.parent / f".visionflux-{digest}"  # short, however long the name is
        self.output = output
        self.download = hidden.with_suffix(whole.suffix)
        self._lock = FileLock(hidden.with_suffix(".lock"))
        self._reserve = hidden.with_suffix(".reserve")

    def take(self) -> None:
        """Take the place.

        Raises:
            StorageError: another process has it, or nothing can be written there.
        """
        with explained(self.output):
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                if not Path(self._lock.lock_file).exists():
                    self._write_reserve()  # which raises what the system says
                problem = f"another process is writing {self.output}"
                remedy = f"wait for it, or {ANOTHER}"
                raise StorageError(problem, remedy=remedy, field="output") from error
            try:
                self._write_reserve()
            except OSError:
                self.release()
                raise

    def release(self) -> None:
        """Leave the place to others."""
        self._reserve.unlink(missing_ok=True)
        if self._lock.is_locked:
            with contextlib.suppress(OSError):  # Windows removes no open file
                Path(self._lock.lock_file).unlink()
            self._lock.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Give the reserve back while ``download`` is written; then move that into place.

        Raises:
            StorageError: the system refuses it.
        """
        with explained(self.output):
            self._reserve.unlink(missing_ok=True)
            yield
            os.replace(self.download, self.output)

    def _write_reserve(self) -> None:
        with self._reserve.open("wb") as file:  # written: quotas count nothing before
            file.write(os.urandom(RESERVED_BYTES))
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def claimed(output: Path, *, overwrite: bool) -> Iterator[Claim]:
    """Check a place and hold it.

    Raises:
        InvalidParameterError, StorageError: as ``check_output`` and ``Claim.take`` say.
    """
    check_output(output, overwrite=overwrite)
    claim = Claim(output)
    claim.take()
    try:
        yield claim
    finally:
        claim.release()


@contextmanager
def explained(output: Path) -> Iterator[None]:
    """Report what the system refuses as an error that names the output."""
    try:
        yield
    except OSError as error:
        problem = f"{_short(output)} cannot be written: {reason(error)}"
        raise StorageError(problem, remedy=ANOTHER, field="output") from error
    except ValueError as error:  # a null character
        raise InvalidParameterError(
            "output", f"it is no name of a file: {error}", ANOTHER
        ) from error


def refused(error: OSError) -> StorageError:
    """Return the error that a person reads for one of the system's, whatever it is about."""
    about = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
    return StorageError(f"{about}: {reason(error)}")


def reason(error: OSError) -> str:
    """Return in a few words what the system refused."""
    text = error.strerror or (str(error).splitlines() or [""])[0] or type(error).__name__
    return text[0].lower() + text[1:]


def _short(output: Path) -> str:
    text = str(output)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-20:]}"
