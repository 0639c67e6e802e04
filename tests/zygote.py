"""A process that has imported everything and runs the command line in forks of itself: a command costs no import.

Reads one JSON request a line: ``arguments`` of the command line, or of the Python ``script`` or ``code`` to run
instead; ``folder``, ``environment``, the files ``out`` and ``err`` that get what is printed; ``pacing``, fields of
:class:`harden.pacing.Pacing`; ``strict``, where a warning is an error; and how the child ends: ``kill_after`` (seconds
until SIGKILL or ``signal`` from outside), ``kill_when`` (the file that must be there), ``kill_at`` (number of the call
of fsync or rename before which the child kills itself), or by itself. Answers one JSON line: ``killed``, ``code``,
``seconds``. With ``beside``, it answers at once with the child's ``number``, and a request of that ``number`` alone
waits for it.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import matplotlib.figure
import onnxruntime  # noqa: F401
import torch

import harden
from harden import pacing
from harden.cli import main
from harden.pacing import Pacing


def import_all() -> None:
    for module in pkgutil.walk_packages(harden.__path__, "harden."):
        if "sources" not in module.name and module.name != "harden.__main__":
            importlib.import_module(module.name)


def count_writes(kill_at: int | None, folder: Path) -> None:
    """Count the calls that make a write durable; die before number ``kill_at``."""
    calls = 0

    def counted(original: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            if calls == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1
            if kill_at is None:
                (folder / "calls").write_text(str(calls))
            return original(*arguments, **named)

        return call

    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]


def child(request: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    if "kill_at" in request:
        count_writes(request["kill_at"], Path(request["folder"]))
    pacing.use(Pacing(**{k: tuple(v) if isinstance(v, list) else v for k, v in request.get("pacing", {}).items()}))
    if request.get("strict"):
        warnings.simplefilter("error")
    code: Any = 0
    try:
        work(request)
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def work(request: dict[str, Any]) -> None:
    sys.argv[1:] = request["arguments"]
    if "script" in request:
        runpy.run_path(request["script"], run_name="__main__")
    elif "code" in request:
        exec(compile(request["code"], "<code>", "exec"), {"__name__": "__main__"})
    else:
        main(request["arguments"])


def ends_by_itself(watched: int, request: dict[str, Any]) -> bool:
    """Wait for the end of the child, or for the moment at which it is to be killed."""
    ended: list[int] = []
    if "kill_when" not in request:
        ended, _, _ = select.select([watched], [], [], request.get("kill_after"))
    while "kill_when" in request and not ended and not Path(request["folder"], request["kill_when"]).exists():
        ended, _, _ = select.select([watched], [], [], 0.01)
    return bool(ended)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    number = request.get("number") or os.fork()
    if number == 0:
        child(request)
    if request.get("beside"):
        return {"number": number}
    watched = os.pidfd_open(number)
    if not ends_by_itself(watched, request):
        os.kill(number, request.get("signal", signal.SIGKILL))
    status = os.waitpid(number, 0)[1]
    os.close(watched)
    killed = os.WIFSIGNALED(status)
    return {
        "killed": killed,
        "code": None if killed else os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - began,
    }


def warm_up() -> None:
    """What the first optimizer and the first drawing import; nothing here starts a thread."""
    torch.set_num_threads(1)
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    figure = matplotlib.figure.Figure()
    figure.add_subplot().plot([0, 1], label="x")
    figure.savefig(io.BytesIO(), format="svg")


if __name__ == "__main__":
    import_all()
    warm_up()
    gc.freeze()  # what was imported is not looked through for garbage in every child: a quarter of a drawing's time
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
