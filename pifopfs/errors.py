"""The error tree: every failure that this package tells its callers about, named by meaning.

    PifopfsError
    ├── ServiceError                 a request to the service failed
    │   ├── NotSent                  … before the service could act on it: nothing has changed
    │   │   ├── Unreachable          DNS failure, no route, no such socket
    │   │   ├── ConnectionRefused
    │   │   ├── ConnectTimedOut
    │   │   ├── NoConnectionFree     all are in use here
    │   │   ├── TlsFailure           certificate or handshake
    │   │   └── ServiceDown          nothing was tried: calls have failed, one is let through soon
    │   ├── Unclear                  … and the service may or may not have acted on it
    │   │   ├── NoAnswer             a deadline passed
    │   │   ├── ConnectionBroken     the connection ended in the middle
    │   │   ├── BadAnswer            an answer that is not what the API promises
    │   │   └── ServiceFailure       a 5xx answer
    │   └── Refused                  … because the service said no: nothing has changed
    │       ├── AccessDenied         no key, wrong key, forbidden
    │       ├── FunctionUnknown
    │       ├── ExecutionUnknown
    │       ├── InputUnknown
    │       ├── OutputUnknown
    │       ├── ApiKeyUnknown
    │       ├── InputsClosed         upload after the start
    │       ├── AlreadyRunning       start of a running execution
    │       ├── AlreadyEnded         start of an ended execution
    │       ├── NotStarted           stop, or wait for, a pending execution
    │       ├── NotEnded             output asked for before the end
    │       ├── TooLarge
    │       ├── TooManyExecutions
    │       ├── ServiceBusy          rate limited or overloaded, after the retries
    │       └── RequestRejected      any other 3xx or 4xx answer
    ├── TreeError                    the filesystem itself says no; nothing was asked of the service
    │   ├── NoSuchName
    │   ├── NameTaken
    │   ├── NameInvalid
    │   ├── NameTooLong
    │   ├── NotADirectory
    │   ├── IsADirectory
    │   ├── DirectoryNotEmpty
    │   ├── AccessNotAllowed         the mode of the file or directory forbids it
    │   ├── OperationNotPermitted    no mode could ever allow it here
    │   ├── OtherDirectory           a rename between directories
    │   ├── InputOpen                start while an input is open for writing
    │   ├── InputUndeclared          start with an input that the function does not declare
    │   ├── InputWithdrawn           start with an input removed after its upload
    │   ├── InputTorn                start with an input whose writer was killed in the middle
    │   ├── NotWaitable              wait on an execution that has not been started
    │   ├── FileRemoved              the file was removed or replaced since it was looked up
    │   ├── Terminated               the execution is gone, under an open file or while waited for
    │   ├── WaitEnded                the execution was terminated while somebody waited for its end
    │   ├── OutputChanged            a download differs from what was promised
    │   ├── LocalStorageFull
    │   └── LocalStorageFailed
    ├── Interrupted                  a signal is pending for the caller
    └── SetupError                   the command line, configuration or environment is not right
        ├── OptionInvalid
        ├── FileWithMistake          what stands in a file is not right
        │   ├── ConfigFileInvalid
        │   └── FunctionFileInvalid
        ├── FunctionArgumentInvalid
        ├── CredentialsInvalid
        ├── EndpointInvalid
        ├── MountpointInvalid
        ├── MountBusy
        ├── StateLocked
        ├── FileUnusable
        ├── FuseMissing              a part of the system that pifopfs rests on is not there
        │   └── FuseLibraryMissing
        ├── PackageMissing           a package of Python is not there
        ├── FileInTheWay
        └── ServerNotStarted

Which errno an error becomes is decided in `pifopfs.fuse.errnos`, which HTTP answer becomes which
error in `pifopfs.api.answers`, which exit code a `SetupError` becomes in `pifopfs.cli`.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class PifopfsError(Exception):
    """The root. `advice` is a sentence that says what the user can do, or empty."""

    advice: ClassVar[str] = ""


# ── The service ───────────────────────────────────────────────────────────────────────────────


class ServiceError(PifopfsError):
    """A request failed. `tried` says what was asked, `answer` what came back."""

    def __init__(self, tried: str, answer: str) -> None:
        super().__init__(tried, answer)
        self.tried = tried
        self.answer = answer
        self.code: int | None = None
        """The HTTP status code, where there was an answer."""
        self.after_unclear = False
        """An earlier try of the same call may have been acted on."""
        self.retry_after: float | None = None
        """Seconds after which the service wants to be asked again, where it says so."""
        self.request = ""
        """The id of the request, for the log; empty where none was made."""

    def __str__(self) -> str:
        return f"{self.tried}: {self.answer}"


class NotSent(ServiceError):
    """The request never reached the service."""


class Unreachable(NotSent):
    advice = "Check the endpoint's name and the network."


class ConnectionRefused(NotSent):
    advice = "The service is down, or the endpoint is wrong. Try again later."


class ConnectTimedOut(NotSent):
    advice = "The service cannot be reached just now. Try again later."


class NoConnectionFree(NotSent):
    advice = "Many transfers are under way. Try again later."


class TlsFailure(NotSent):
    advice = "Check the server's certificate, the clock, and --ca-file."


class ServiceDown(NotSent):
    """Nothing was sent, because the calls before have failed. `failure` is the last of them."""

    advice = "The service is asked again within seconds."

    def __init__(self, tried: str, answer: str, failure: ServiceError) -> None:
        super().__init__(tried, answer)
        self.failure = failure


class Unclear(ServiceError):
    """The service may have acted on the request."""


class NoAnswer(Unclear):
    advice = "The service is slow or stuck. Try again later."


class ConnectionBroken(Unclear):
    advice = "The connection was lost. Try again."


class BadAnswer(Unclear):
    advice = "Check that the endpoint is a server of PIFOP Functions."


class ServiceFailure(Unclear):
    advice = "The service failed. Try again later, or tell its operator."


class Refused(ServiceError):
    """The service answered no."""


class AccessDenied(Refused):
    advice = "Check the API key: it belongs to one function, and may have been deleted."


class FunctionUnknown(Refused):
    advice = "Check the function's name, AUTHOR/ID."


class ExecutionUnknown(Refused):
    advice = "The execution was terminated elsewhere, or has expired. rmdir forgets it here."


class InputUnknown(Refused):
    advice = "The function has no such input: see function.json for those it has."


class OutputUnknown(Refused):
    advice = "The execution has not produced this output: see its log."


class ApiKeyUnknown(Refused):
    advice = "Check the key's name: the function has no API key of this name."


class InputsClosed(Refused):
    advice = "Inputs are accepted only before the start. Create a new execution."


class AlreadyRunning(Refused):
    advice = "The execution runs already: read wait for its end."


class AlreadyEnded(Refused):
    advice = "An execution runs once. Create a new one."


class NotStarted(Refused):
    advice = "Start it first: echo 1 > start."


class NotEnded(Refused):
    advice = "Outputs are there once the execution has ended: read wait."


class TooLarge(Refused):
    advice = "The service takes no file of this size."


class TooManyExecutions(Refused):
    advice = "Let other executions of this key end, or terminate them with rmdir."


class ServiceBusy(Refused):
    advice = "Try again later."


class RequestRejected(Refused):
    advice = "Check that the endpoint is a server of PIFOP Functions."


# ── The filesystem ────────────────────────────────────────────────────────────────────────────


class TreeError(PifopfsError):
    """The filesystem says no. `name` is the file or directory it is about."""

    meaning: ClassVar[str] = ""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.name}: {self.detail or self.meaning}"


class NoSuchName(TreeError):
    meaning = "there is no such file or directory"


class NameTaken(TreeError):
    meaning = "the name is taken"


class NameInvalid(TreeError):
    meaning = "this name cannot be used here"


class NameTooLong(TreeError):
    meaning = "names have at most 255 bytes"


class NotADirectory(TreeError):
    meaning = "it is not a directory"


class IsADirectory(TreeError):
    meaning = "it is a directory"


class DirectoryNotEmpty(TreeError):
    meaning = "the directory is not empty"


class AccessNotAllowed(TreeError):
    meaning = "its mode does not allow this now"


class OperationNotPermitted(TreeError):
    meaning = "this cannot be done here"


class OtherDirectory(TreeError):
    meaning = "files are renamed within one input directory"


class InputOpen(TreeError):
    meaning = "the input is open for writing"
    advice = "Let its writer close it, then start."


class InputUndeclared(TreeError):
    meaning = "the function declares no input of this name"
    advice = "Rename it to a declared input or remove it, then start. See function.json."


class InputWithdrawn(TreeError):
    meaning = "the input was removed here, but the service has it and cannot forget it"
    advice = "Write it again, or create a new execution."


class InputTorn(TreeError):
    meaning = "the writer of this input was killed before it had finished"
    advice = "Write it again, then start."


class NotWaitable(TreeError):
    meaning = "the execution has not been started"
    advice = "Start it first: echo 1 > start."


class FileRemoved(TreeError):
    meaning = "the file was removed or replaced"


class Terminated(TreeError):
    meaning = "the execution was terminated"


class WaitEnded(TreeError):
    meaning = "the execution was terminated"


class OutputChanged(TreeError):
    meaning = "the download differs from what the service announced"
    advice = "Open the output again to download it anew."


class LocalStorageFull(TreeError):
    meaning = "the local disk is full"
    advice = "Make room, or name other folders with --state-dir and --cache-dir."


class LocalStorageFailed(TreeError):
    meaning = "the local disk failed"
    advice = "Check the folders that --state-dir and --cache-dir name."


class Interrupted(PifopfsError):
    """A signal is pending for the process that made the call."""


# ── Setting up ────────────────────────────────────────────────────────────────────────────────


class SetupError(PifopfsError):
    """A command cannot do its work; the message is one sentence with the mend in it."""


class FuseMissing(SetupError):
    """A part of FUSE, a package of the system, is not on this machine."""

    advice = (
        "Install FUSE 3: apt-get install fuse3 (Debian, Ubuntu), "
        "dnf install fuse3 fuse3-libs (Fedora), or pacman -S fuse3 (Arch)."
    )


class FuseLibraryMissing(FuseMissing):
    """The library of FUSE that pyfuse3 was built for cannot be loaded."""

    advice = (
        f"{FuseMissing.advice} Where FUSE was updated after pifopfs was installed, "
        "install that anew: pipx reinstall pifopfs."
    )


class PackageMissing(SetupError):
    """A Python package that is always installed with this one cannot be loaded."""

    advice = "Install pifopfs anew: pipx reinstall pifopfs, or as you installed it."


class OptionInvalid(SetupError):
    """An option or environment variable has a value that means nothing."""


class FileWithMistake(SetupError):
    """What is in a file is not right: `field` names the place, or is empty."""

    def __init__(self, path: Path, field: str, problem: str, mend: str) -> None:
        super().__init__(path, field, problem, mend)
        self.path = path
        self.field = field
        self.problem = problem
        self.mend = mend

    def __str__(self) -> str:
        where = f"{self.path}: {self.field}" if self.field else str(self.path)
        return f"{where}: {self.problem}; {self.mend}"


class FunctionFileInvalid(FileWithMistake):
    """A `function.json` is not right."""


class ConfigFileInvalid(FileWithMistake):
    """A `config.toml` is not right."""


class FunctionArgumentInvalid(SetupError):
    """The FUNCTION argument names nothing that can be mounted or called."""


class CredentialsInvalid(SetupError):
    """The API key is missing, unreadable or malformed."""


class EndpointInvalid(SetupError):
    """The endpoint is not one that a key may be sent to, or is not a URL."""


class MountpointInvalid(SetupError):
    """The mountpoint is missing, not a directory, not empty or already mounted."""


class MountBusy(SetupError):
    """Processes still use the mount."""


class StateLocked(SetupError):
    """Another mount uses the same names."""


class FileUnusable(SetupError):
    """A file that a command was told to read or write cannot be."""


class FileInTheWay(SetupError):
    """A command would have to replace or remove a file that is not of its making."""


class ServerNotStarted(SetupError):
    """The embedded server did not start."""
