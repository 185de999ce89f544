"""All stores of one owner, opened together.

It knows where each store lies, not how it is used.
"""

from dataclasses import dataclass
from pathlib import Path

from ui.storage.event_log import EventLog
from ui.storage.job_views import JobViews
from ui.storage.library import Library
from ui.storage.pending_films import PendingFilms
from ui.storage.pieces import Pieces
from ui.storage.preferences import Preferences
from ui.storage.saved_draft import DraftFile
from ui.storage.start_images import StartImages
from ui.storage.traffic_meter import TrafficMeter


@dataclass(frozen=True)
class Storage:
    """The stores of one owner.

    Attributes:
        library: films and their jobs.
        job_views: the current state of each job; in memory only.
        pieces: finished keyframes and segments of unfinished films.
        event_log: the events of each job.
        meter: bytes exchanged with remote engines.
        preferences: settings for all films.
        start_images: images that scenes begin from.
        draft_file: the draft of the next film.
        pending_films: films that an engine may have or not.
    """

    library: Library
    job_views: JobViews
    pieces: Pieces
    event_log: EventLog
    meter: TrafficMeter
    preferences: Preferences
    start_images: StartImages
    draft_file: DraftFile
    pending_films: PendingFilms

    @classmethod
    def open(cls, library: Library, folder: Path) -> "Storage":
        """Open the stores beside a library; ``folder`` is the owner's data folder."""
        return cls(
            library=library,
            job_views=JobViews(),
            pieces=Pieces(library.engine, folder / "mirror", library.owner),
            event_log=EventLog(library.engine),
            meter=TrafficMeter(library.engine, library.owner),
            preferences=Preferences(folder / "preferences.json"),
            start_images=StartImages(folder / "stills"),
            draft_file=DraftFile(folder / "storyboard.json"),
            pending_films=PendingFilms(folder / "pending.json"),
        )
