"""The `alive` note: who writes a journal, and whether that process can still be there."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct


class Note(Struct, frozen=True, kw_only=True):
    """What a writer says of itself, again every few seconds."""

    host: str
    pid: int
    boot: str
    """The boot and the process namespace in which `pid` means something; empty where nobody tells."""
    started: str
    """When the process began, in the system's own ticks: a number can be given out twice."""
    writer: str
    beat: int
    """Counts up, so that a note that lives is a note that changes."""
    ended: bool = False
    """The writer is done."""


def note_of_this_process(writer: str) -> Note:
    """The first note of a writer in this process."""
    pid = os.getpid()
    return Note(
        host=socket.gethostname(), pid=pid, boot=_boot(), started=_started(pid) or "", writer=writer, beat=0
    )


def encode_note(note: Note) -> str:
    """As the text of an `alive` note."""
    return msgspec.json.encode(note).decode()


def decode_note(text: str) -> Note | None:
    """None where the text is none of ours."""
    try:
        return msgspec.json.decode(text, type=Note)
    except msgspec.MsgspecError:
        return None


def is_dead(note: Note, here: Note, *, started: Callable[[int], str | None] | None = None) -> bool:
    """Whether the writer is surely gone: it ended, or it was a process of this host that is no more."""
    if note.ended:
        return True
    if note.host != here.host:
        return False
    if note.boot != here.boot:
        # The same host after a reboot; but other containers share a host's name, never its namespace.
        return note.boot.split("/")[0] != here.boot.split("/")[0]
    now = (started or _started)(note.pid)
    return now is None or bool(note.started and now != note.started)


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process began; empty where the system does not tell; None: there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it is there, and somebody else's
    try:
        # proc_pid_stat(5), after the command's name, which may hold anything: state is field 3, start is 22.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if fields[0] in "ZX" else fields[19]
