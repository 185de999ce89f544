"""What an engine forgets: logs of jobs that ended long ago, and that a film waits to be fetched.

Forgetting deletes no film; it only lets a film make way once room is short. The newest jobs stay
however old they are, so that a clock set forward loses nothing but protection. It knows neither
sockets nor files.
"""

from engine.storage.journal import Journal
from engine.storage.rows import Ended

KEPT_SECONDS = 30 * 86_400.0  # that a job is remembered, and a film nobody fetches is protected
NEWEST, MOST = 200, 1_000  # jobs that are kept whatever their age, and at most


def prune(journal: Journal, now: float) -> set[str]:
    """Forget what nobody will ask for; return the films that are no longer protected.

    Args:
        journal: of the engine.
        now: Unix time, seconds.

    Raises:
        StorageError: the journal cannot be written.
    """
    ended = journal.ended()  # newest first
    journal.forget_jobs(job.id for n, job in enumerate(ended) if _is_past(job, n, now))
    awaited = {job.film for job in ended[:MOST] if not _is_old(job, now)}
    gone = {job.film for job in ended}
    released = (journal.kept() & gone) - awaited
    for film in released:
        journal.unkeep(film)
    return released


def _is_old(job: Ended, now: float) -> bool:
    return job.at < now - KEPT_SECONDS


def _is_past(job: Ended, place: int, now: float) -> bool:
    return place >= MOST or (place >= NEWEST and _is_old(job, now))
