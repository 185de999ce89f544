"""Every error that VisionFlux reports, split by who can act on it.

VisionFluxError
├── RequestError              the user can correct it
│   ├── InvalidParameterError     a value in the recipe or on the command line
│   ├── UnknownModelError         a model that this engine does not offer
│   ├── UnknownJobError           a job that this engine does not have
│   ├── UnknownObjectError        an object that the store does not have
│   ├── JobConflictError          a job id that was used for another recipe
│   ├── MissingPictureError       a scene's start image that was not uploaded
│   ├── BlankError                a model that paints nothing of what was asked for
│   └── LimitError                a limit that the engine states in its hello
├── EngineError               the engine's operator can
│   ├── ModelLoadError            missing, truncated or unsuitable weights
│   ├── NotANumberError           a VAE whose numbers float32 does not hold either
│   ├── DeviceMemoryError         out of memory on the device
│   ├── AssemblyError             the encoder failed
│   ├── StorageError              a full disk, a read-only folder, a damaged database
│   │   └── FolderInUseError          another engine uses the data folder
│   ├── JobCancelledError         another client cancelled the film
│   ├── PortError                the port to listen on is taken or not ours to take
│   ├── TunnelError              a tunnel's vendor or its agent refused
│   ├── WorkerStartError          the system cannot start a worker process
│   ├── WorkerLostError           the worker process died or hung again and again
│   └── InternalError             a defect of ours; the log has the traceback
└── TransportError            retry, or correct the address
    ├── BadLinkError              not a pairing link
    ├── EngineUnreachableError    nothing answers there
    ├── NotPairedError            the engine refused our key, or could not prove that it knows it
    ├── ConnectionLostError       the connection broke and could not be made again
    ├── MalformedMessageError     bytes that are no message of the protocol
    └── ProtocolVersionError      the other end speaks another version

An error reports what happened (``str``), what to do next (``remedy``) and, where one input is to
blame, which (``field``). ``code`` is stable and travels on the wire. This module knows nothing of
the libraries whose errors are translated into these.
"""

from typing import ClassVar

import msgspec


class ErrorReport(msgspec.Struct, frozen=True):
    """An error as it travels: a stable code, a sentence, a remedy and the field to blame."""

    code: str
    message: str
    remedy: str = ""
    field: str | None = None


class VisionFluxError(Exception):
    """Base of all errors; ``problem`` is a sentence, ``remedy`` what to do next."""

    code: ClassVar[str] = "E_VISIONFLUX"
    default_remedy: ClassVar[str] = ""

    def __init__(self, problem: str, *, remedy: str = "", field: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy or self.default_remedy
        self.field = field

    def report(self) -> ErrorReport:
        """Return the form that travels on the wire."""
        return ErrorReport(self.code, self.problem, self.remedy, self.field)

    @classmethod
    def restore(cls, report: ErrorReport) -> "VisionFluxError":
        """Rebuild the error that ``report`` was made from; unknown codes become the base class."""
        found = _by_code().get(report.code, VisionFluxError)
        error = found.__new__(found)
        VisionFluxError.__init__(error, report.message, remedy=report.remedy, field=report.field)
        return error


class RequestError(VisionFluxError):
    """The request is at fault; the user can correct it."""

    code = "E_REQUEST"


class InvalidParameterError(RequestError):
    """One value is not acceptable."""

    code = "E_INVALID_PARAMETER"

    def __init__(self, field: str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{field}: {problem}", remedy=remedy, field=field)


class UnknownModelError(RequestError):
    """The engine does not offer this model."""

    code = "E_UNKNOWN_MODEL"

    def __init__(self, model: str, offered: list[str]) -> None:
        super().__init__(
            f"this engine does not offer the model {model[:80]!r}",
            remedy=f"choose one of: {', '.join(offered)}; or start the engine with --model",
            field="model",
        )


class UnknownJobError(RequestError):
    """No job of this id exists on the engine."""

    code = "E_UNKNOWN_JOB"
    default_remedy = "submit the recipe again"

    def __init__(self, job: str) -> None:
        super().__init__(f"this engine has no job {job[:80]!r}", field="job")


class UnknownObjectError(RequestError):
    """No object of this name is in the store."""

    code = "E_UNKNOWN_OBJECT"
    default_remedy = "render the film again; what is still in the store is reused"

    def __init__(self, name: str) -> None:
        super().__init__(f"the store has no object {name[:80]!r}", field="object")


class JobConflictError(RequestError):
    """The job id was used before, for another recipe."""

    code = "E_JOB_CONFLICT"
    default_remedy = "choose a new job id for a new recipe"

    def __init__(self, job: str) -> None:
        super().__init__(f"the job {job!r} exists with another recipe", field="job")


class MissingPictureError(RequestError):
    """The engine does not have the picture that a scene begins from."""

    code = "E_MISSING_PICTURE"
    default_remedy = "add the picture again, or remove it from the scene"

    def __init__(self, scene: int) -> None:
        super().__init__(
            "the picture that this scene begins from is not on the engine",
            field=f"scenes[{scene}].start_image",
        )


class BlankError(RequestError):
    """Every keyframe came out black, or of one colour."""

    code = "E_BLANK"
    default_remedy = (
        "change the prompts; a safety checker may have replaced the pictures by black ones"
    )

    def __init__(self, keyframes: int) -> None:
        super().__init__(f"all {keyframes} keyframes came out blank, other seeds included")


class LimitError(RequestError):
    """A stated limit is reached."""

    code = "E_LIMIT"


class EngineError(VisionFluxError):
    """The engine cannot do its work; its operator can act."""

    code = "E_ENGINE"


class ModelLoadError(EngineError):
    """A model's files are missing, damaged or of a kind that cannot be used."""

    code = "E_MODEL_LOAD"

    def __init__(self, model: str, problem: str, remedy: str = "") -> None:
        super().__init__(f"the model {model} cannot be loaded: {problem}", remedy=remedy)
        self.model = model


class NotANumberError(EngineError):
    """A network gave values that are no numbers, in every number format that was tried."""

    code = "E_NOT_A_NUMBER"
    default_remedy = "choose another model, or another VAE for it"


class DeviceMemoryError(EngineError):
    """The device ran out of memory."""

    code = "E_DEVICE_MEMORY"
    default_remedy = "choose a smaller size, or free the device's memory"


class AssemblyError(EngineError):
    """The encoder could not write the film."""

    code = "E_ASSEMBLY"
    default_remedy = "the engine's log holds the encoder's own message"


class StorageError(EngineError):
    """The engine's data folder cannot be read or written."""

    code = "E_STORAGE"
    default_remedy = "free disk space or choose another folder; nothing finished is lost"


class FolderInUseError(StorageError):
    """Another engine uses the data folder."""

    code = "E_FOLDER_IN_USE"
    default_remedy = "stop it, or choose another folder with --data"

    def __init__(self, folder: str) -> None:
        super().__init__(f"another engine uses the data folder {folder}")


class JobCancelledError(EngineError):
    """Another client cancelled the film."""

    code = "E_CANCELLED"
    default_remedy = "render it again: what is finished is reused"


class PortError(EngineError):
    """The engine cannot listen on its port."""

    code = "E_PORT"

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host} port {port}: {reason}",
            remedy="choose another with --port; 0 takes a free one",
            field="port",
        )


class TunnelError(EngineError):
    """A tunnel could not be opened; ``passes``: whether it may work later by itself."""

    code = "E_TUNNEL"
    passes = False

    def __init__(self, name: str, problem: str, remedy: str = "", *, passes: bool = False) -> None:
        super().__init__(f"{name}: {problem}", remedy=remedy)
        self.passes = passes


class WorkerStartError(EngineError):
    """A worker process could not be started at all."""

    code = "E_WORKER_START"
    default_remedy = "check the engine's installation: python -m engine doctor"


class WorkerLostError(EngineError):
    """The worker process ended again and again without finishing its task."""

    code = "E_WORKER_LOST"
    default_remedy = "try a smaller size; the engine's log shows how the worker ended"


class InternalError(EngineError):
    """A defect of VisionFlux itself."""

    code = "E_INTERNAL"
    default_remedy = "please report it with the engine's log"


class TransportError(VisionFluxError):
    """The engine cannot be talked to; retry, or correct the address."""

    code = "E_TRANSPORT"


class BadLinkError(TransportError):
    """The text is no pairing link."""

    code = "E_BAD_LINK"
    default_remedy = "copy the whole line that the engine printed, from http to its last character"


class EngineUnreachableError(TransportError):
    """Nothing answers at the engine's address."""

    code = "E_UNREACHABLE"
    default_remedy = (
        "check that the engine runs and that its tunnel is up, then paste its newest link"
    )


class NotPairedError(TransportError):
    """The engine refused the key, or could not prove that it knows it."""

    code = "E_NOT_PAIRED"
    default_remedy = "paste the newest pairing link that the engine printed"


class ConnectionLostError(TransportError):
    """The connection broke; the job continues at the engine."""

    code = "E_CONNECTION_LOST"
    default_remedy = "nothing is lost: reconnect and watch the job again"


class MalformedMessageError(TransportError):
    """The other end sent bytes that are no message of the protocol."""

    code = "E_MALFORMED"

    def __init__(self, problem: str, *, field: str | None = None) -> None:
        super().__init__(problem, remedy="see docs/protocol.md", field=field)


class ProtocolVersionError(TransportError):
    """The other end speaks another version of the protocol."""

    code = "E_PROTOCOL_VERSION"
    default_remedy = "use the same version of VisionFlux for the app and the engine"


def tree(root: type[VisionFluxError] = VisionFluxError) -> list[type[VisionFluxError]]:
    """Return ``root`` and every class below it."""
    return [root, *(found for child in root.__subclasses__() for found in tree(child))]


def _by_code() -> dict[str, type[VisionFluxError]]:
    return {found.code: found for found in tree()}
