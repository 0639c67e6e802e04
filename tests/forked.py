"""Programs, and above all the command line, in forks of one process that has imported everything: no import is paid."""

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

    def __init__(self) -> None:
        script = str(Path(__file__).with_name("zygote.py"))
        self._process = subprocess.Popen([sys.executable, script], stdin=-1, stdout=-1, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, folder: Path, arguments: list[str], **rest: Any) -> dict[str, Any]:
        """``harden ARGUMENTS`` in ``folder``; see zygote.py for what else can be asked, and for the answer."""
        return self._asked({"folder": str(folder), "arguments": arguments, "environment": dict(os.environ), **rest})

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
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

    def python(self, folder: Path, code: str) -> Done:
        """A program's code in ``folder``, with warnings as errors."""
        return self.run(folder, code=code, strict=True)

    def side_by_side(self, folder: Path, script: Path, *arguments: str, environments: list[dict[str, str]]) -> None:
        """A script in several processes at a time, one for each of the environments; all must succeed."""
        logs = [folder / f"printed-{i}" for i in range(len(environments))]
        common = {"folder": str(folder), "arguments": list(arguments), "script": str(script), "beside": True}
        started = [
            self._asked({**common, "environment": {**os.environ, **more}, "out": str(log), "err": str(log)})
            for more, log in zip(environments, logs, strict=True)
        ]
        ended = [self._asked(one)["code"] for one in started]
        printed = [log.read_text(encoding="utf-8") for log in logs]
        assert not any(ended), printed

    def close(self) -> None:
        self._process.communicate(timeout=60)


class Fresh:
    """The same without forks: each process imports everything anew."""

    def run(self, folder: Path, *arguments: str, together: bool = False, pacing: object = None) -> Done:
        """As :meth:`Zygote.run`."""
        if pacing is None:
            return self._done(folder, ["-m", "harden", *arguments], together)
        paced = f"pacing.use(pacing.Pacing(**{pacing!r}))"
        code = f"import sys; from harden import cli, pacing; {paced}; cli.main(sys.argv[1:])"
        return self._done(folder, ["-c", code, *arguments], together)

    def python(self, folder: Path, code: str) -> Done:
        """As :meth:`Zygote.python`."""
        return self._done(folder, ["-W", "error", "-c", code])

    def side_by_side(self, folder: Path, script: Path, *arguments: str, environments: list[dict[str, str]]) -> None:
        """As :meth:`Zygote.side_by_side`."""
        words = [sys.executable, str(script), *arguments]
        started = [
            subprocess.Popen(words, cwd=folder, env={**os.environ, **more}, stdout=-1, stderr=-2, text=True)
            for more in environments
        ]
        printed = [process.communicate(timeout=500)[0] for process in started]
        assert not any(process.returncode for process in started), printed

    def close(self) -> None:
        """Nothing is left open."""

    def _done(self, folder: Path, words: list[str], together: bool = False) -> Done:
        err = subprocess.STDOUT if together else subprocess.PIPE
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, stdout=subprocess.PIPE, stderr=err, text=True, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr or "")
