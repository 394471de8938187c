"""What is known of one input file, and recorded of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pifopfs.errors import InputOpen, InputTorn, PifopfsError
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputstates import LACKING, WHOLE, InputEvent, InputState, after, recorded
from pifopfs.tree.pageusers import PageUsers
from pifopfs.tree.remote import Remote
from pifopfs.tree.rows import InputRow
from pifopfs.tree.staged import StagedFile
from pifopfs.tree.writer import Writer


@dataclass(eq=False, slots=True)
class RecordedInput:
    """A file in `input/`. Its state is in the mount's record, too."""

    remote: Remote
    """What the service has under this file's name."""
    number: int
    """Of its staged file."""
    ino: int
    staged: StagedFile
    state: InputState = InputState.WRITING
    mode: int | None = None
    """Permission bits set by chmod."""
    uid: int | None = None
    gid: int | None = None
    """Owners set by chown."""
    failure: PifopfsError | None = None
    """What the last upload of the bytes as they are failed with."""
    writers: set[Writer] = field(default_factory=set)
    pages: PageUsers = field(default_factory=PageUsers)
    _generation: int = 0
    """Counts modifications, so that an upload knows whether its bytes are still the latest."""
    _noted: Writer | None = None
    """Whose last write is noted all over: another one right after it adds nothing to that. None
    when an upload or a sync goes by the present generation.
    """

    _synced: bool = True
    """What the service has of it is on the disk here, too."""

    @property
    def execution(self) -> Execution:
        return self.remote.execution

    @property
    def name(self) -> str:
        return self.remote.name

    @property
    def upload_name(self) -> str:
        """What its failures are told under, until an upload succeeds."""
        return f"upload of input {self.name}"

    @property
    def declared(self) -> bool:
        """Whether the function has such an input; other names are scratch, never uploaded."""
        return self.execution.shared.function.declares_input(self.name)

    @property
    def lacking(self) -> bool:
        """The service lacks these bytes, and nobody is writing them."""
        return self.state in LACKING and not self.writers

    def check_complete(self) -> None:
        """Raises InputOpen or InputTorn: what keeps `start` from running on these bytes."""
        if self.writers:
            raise InputOpen(f"input/{self.name}")
        if self.state is InputState.TORN:
            raise InputTorn(f"input/{self.name}")

    # ── State ────────────────────────────────────────────────────────────────────────────────

    def happen(self, event: InputEvent) -> None:
        """Go to the next state, and record it before anything rests on it."""
        state = after(self.state, event)
        if self._said(state) is not self._said(self.state):
            self._record(state, safe=self.state in WHOLE and state not in WHOLE)
        self.state = state

    def _said(self, state: InputState) -> InputState:
        return recorded(state, synced=self._synced)

    def record(self) -> None:
        """Write it to the mount's record."""
        self._record(self.state)

    def _record(self, state: InputState, *, safe: bool = False) -> None:
        """`safe` before the bytes that the record calls whole change. All else is within moments:
        a power cut before that leaves a torn input, or, where the service cannot have any of it,
        none of a new one.
        """
        if not self.staged.removed and not self.execution.dead:
            shared, said = self.execution.shared, self._said(state)
            row = InputRow(self.name, self.number, said, self.mode, self.uid, self.gid)
            shared.names.put_input(self.execution.serial, row, safe=safe)
            if not safe and not shared.names.settling:
                shared.background.start_to_finish(shared.names.settle)

    def _modify(self, event: InputEvent = InputEvent.MODIFIED) -> None:
        self._generation += 1
        self.execution.input_changes += 1
        self.failure = None
        self.happen(event)

    def set_mode(self, mode: int) -> None:
        """Remember permission bits."""
        self.mode = mode & 0o777
        self.record()

    def set_owner(self, uid: int | None, gid: int | None) -> None:
        """Remember owners."""
        self.uid = self.uid if uid is None else uid
        self.gid = self.gid if gid is None else gid
        self.record()
