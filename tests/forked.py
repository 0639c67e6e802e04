"""The command line in forks of one process that has imported everything, so that a command costs no import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AVAILABLE = hasattr(os, "pidfd_open")  # Linux


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int | None  # None: killed
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What it printed, as JSON."""
        return json.loads(self.out)


class Zygote:
    """The process that forks; see zygote.py for what it is asked and answers."""

    def __init__(self, *flags: str) -> None:
        script = str(Path(__file__).with_name("zygote.py"))
        self._process = subprocess.Popen([sys.executable, script, *flags], stdin=-1, stdout=-1, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, folder: Path, arguments: list[str], **rest: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"folder": str(folder), "arguments": arguments, "environment": dict(os.environ), **rest}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def run(self, folder: Path, *arguments: str, together: bool = False, **end: Any) -> Done:
        """``harden ARGUMENTS`` in ``folder``.

        Args:
            folder: The current folder of the command.
            arguments: What follows ``harden``.
            together: What goes to stderr is in ``out``, too, in its place.
            end: ``kill_when`` and the like; see zygote.py.
        """
        with tempfile.TemporaryDirectory() as kept:
            out, err = Path(kept, "out"), Path(kept, "out" if together else "err")
            done = self.ask(folder, list(arguments), out=str(out), err=str(err), **end)
            return Done(done["code"], out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))

    def close(self) -> None:
        self._process.communicate(timeout=60)


def run_afresh(folder: Path, *arguments: str, together: bool = False) -> Done:
    """The same in an interpreter of its own."""
    err = subprocess.STDOUT if together else subprocess.PIPE
    words = [sys.executable, "-m", "harden", *arguments]
    done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=err, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr or "")
