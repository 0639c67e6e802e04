"""Write the reference part of docs/methods.md from the methods themselves; ``--check`` only compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harden import methods
from harden.registry import METHODS

TARGET = Path(__file__).resolve().parent / "methods.md"
sys.path.insert(0, str(TARGET.parent))

import flow  # noqa: E402

MARK = "<!-- From here on made by docs/make_methods.py from harden/methods. Do not edit. -->"


def reference() -> str:
    """The generated part of the page."""
    about = {name: methods.describe(name) for name in METHODS.names()}
    lines = [MARK, "", "## All methods", "", "| method | kind | what it does | cost per step |", "|---|---|---|---|"]
    lines += [f"| [{name}](#{name}) | {a['kind']} | {a['summary']} | {a['cost']} |" for name, a in about.items()]
    lines += ["", *(f"`{alias}` is `{name}`.\n" for alias, name in methods.ALIASES.items())]
    for name, a in about.items():
        lines += [f"### {name}", "", _prose(a["description"]), "", *_options(a["options"])]
    return "\n".join(lines).rstrip() + "\n"


def _prose(description: str) -> str:
    text = description.split("\nExample:")[0].rstrip()
    text = text.replace(".. math::", "Equation:\n\n    ") if "Equation:" not in text else text
    return text.replace(":math:`", "`").replace("``", "`").replace(".. math:: ", "    ")


def _options(options: list[dict[str, Any]]) -> list[str]:
    if not options:
        return ["No options.", ""]
    rows = [f"| `{o['name']}` | {_shown(o['default'])} | {_range(o)} | {o['description']} |" for o in options]
    return ["| option | default | range | meaning and origin |", "|---|---|---|---|", *rows, ""]


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(option: dict[str, Any]) -> str:
    if option["choices"]:
        return ", ".join(option["choices"])
    low, high = option["minimum"], option["maximum"]
    if low is None and high is None:
        return "true, false" if option["type"] == "boolean" else ""
    return f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}"


def page(text: str) -> str:
    """The page with a fresh reference."""
    return flow.fill(text.split(MARK)[0].rstrip() + "\n\n" + reference())


def main() -> int:
    old = TARGET.read_text(encoding="utf-8")
    new = page(old)
    if new == old:
        return 0
    if "--check" in sys.argv[1:]:
        print("docs/methods.md is not current; run python docs/make_methods.py")
        return 1
    TARGET.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
