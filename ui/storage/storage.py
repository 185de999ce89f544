"""Everything that the app keeps for one owner, opened together and passed on as one value.

It knows where each store lies, not what is done with it.
"""

from dataclasses import dataclass
from pathlib import Path

from ui.storage.draft import DraftFile
from ui.storage.event_log import EventLog
from ui.storage.job_views import JobViews
from ui.storage.library import Library
from ui.storage.pieces import Pieces
from ui.storage.preferences import Preferences
from ui.storage.start_images import Stills
from ui.storage.traffic_meter import TrafficMeter


@dataclass(frozen=True)
class Storage:
    """The stores of one owner.

    Attributes:
        library: films and jobs.
        board: what is known of each job now; in memory only.
        pieces: finished keyframes and segments of unfinished films.
        record: the events of each job.
        meter: bytes exchanged with remote engines.
        preferences: settings for all films.
        stills: start pictures.
        desk: the draft of the next film.
    """

    library: Library
    board: JobViews
    pieces: Pieces
    record: EventLog
    meter: TrafficMeter
    preferences: Preferences
    stills: Stills
    desk: DraftFile

    @classmethod
    def open(cls, library: Library, folder: Path) -> "Storage":
        """Open the stores beside a library; ``folder`` is the owner's data folder."""
        return cls(
            library=library,
            board=JobViews(),
            pieces=Pieces(library.engine, folder / "mirror", library.owner),
            record=EventLog(library.engine),
            meter=TrafficMeter(library.engine, library.owner),
            preferences=Preferences(folder / "preferences.json"),
            stills=Stills(folder / "stills"),
            desk=DraftFile(folder / "storyboard.json"),
        )
