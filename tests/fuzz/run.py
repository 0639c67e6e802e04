"""``make fuzz``: coverage-guided fuzzing with atheris, some seconds a target: ``run.py [SECONDS] [NAME ...]``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path


def one(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["harden"]):
        import targets

    folder = Path(tempfile.mkdtemp(prefix="harden-fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "seed").write_bytes(targets.TARGETS[name][2])
    # -rss_limit_mb=0: torch alone maps more than the default allows.
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/"]
    options += ["-rss_limit_mb=0", "-max_len=20000", "-timeout=60"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: targets.attempt(name, data, folder))
    atheris.Fuzz()


def main() -> int:
    if importlib.util.find_spec("atheris") is None:
        print("skipped: atheris is not installed (pip install harden-onnx[fuzz]; Linux, Python 3.11 to 3.13)")
        return 0
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    import targets

    failed = []
    for name in sys.argv[2:] or sorted(targets.TARGETS):
        print(f"fuzzing {name} for {seconds} s", flush=True)
        if subprocess.run([sys.executable, __file__, "--one", name, str(seconds)], check=False).returncode:
            failed.append(name)
    print(f"findings in: {', '.join(failed)}" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
