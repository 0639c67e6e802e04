"""Write docs/operators.md from the registry and the ONNX project's node tests; ``--check`` only compares."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import onnx

HERE = Path(__file__).resolve().parent
TARGET = HERE / "operators.md"
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests" / "graph")]

HEAD = """# Operators

Written by `python docs/make_operators.py` from the registry in `harden/graph/ops` and from a run of the ONNX project's
own node tests (`onnx.backend.test`). Do not edit.

- **Opsets**: the versions from which an implementation of its own holds; each holds until the next.
- **Gradient**: whether gradients flow. They are compared with numerical ones in `tests/graph/test_gradients.py`.
- **Crossbar**: the inputs whose weights sit on crossbars, and so receive noise.
- **Node tests**: passed / excluded, of all cases in which the operator occurs.
"""


def page() -> str:
    """The page's text."""
    import conformance
    import flow

    from harden.graph.ops import operators

    passed: Counter[tuple[str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    failed = []
    for case in conformance.cases():
        reason = conformance.excluded(case.name)
        if reason:
            left_out.update(case.operators)
            reasons[reason] += 1
        elif failure := conformance.failure(case):
            failed.append(f"{case.name}: {failure}")
        else:
            passed.update(case.operators)
    if failed:
        raise SystemExit("cases fail that are not excluded:\n" + "\n".join(failed))
    total = len(conformance.cases())
    lines = [
        HEAD,
        f"With onnx {onnx.__version__}: {len(operators())} operators, {total} node tests about them alone, of which ",
    ]
    lines[-1] += f"{total - sum(reasons.values())} pass and {sum(reasons.values())} are excluded.\n"
    lines += ["| operator | opsets | gradient | crossbar | node tests |", "|---|---|---|---|---|"]
    for key, versions in operators().items():
        domain, name = key
        newest = versions[-1]
        tests = f"{passed[key]} / {left_out[key]}" if passed[key] + left_out[key] else "none"
        since = ", ".join(str(version.since) for version in versions)
        crossbar = "any" if len(newest.analog) > 8 else ", ".join(str(position) for position in newest.analog)
        shown = f"{domain}.{name}" if domain else name
        lines.append(f"| {shown} | {since} | {'yes' if newest.gradient else 'no'} | {crossbar} | {tests} |")
    lines += ["\n## Excluded node tests\n", "| cases | why |", "|---|---|"]
    lines += [f"| {count} | {reason} |" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])]
    return flow.fill("\n".join(lines))


def main() -> None:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not what would be written")
    check = parser.parse_args().check
    text = page()
    if not check:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{TARGET} is stale: run python {Path(__file__).name}")


if __name__ == "__main__":
    main()
