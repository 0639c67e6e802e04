"""Figures of the house: how much is told again instead of passed on, counted in the source of one or several checkouts.

    python benchmarks/house.py                  # this checkout
    python benchmarks/house.py . ../before      # side by side, for a refactoring

Reads the source only; nothing of the checkouts is run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LONG = 8  # parameters
# Two levers that a plan has always had, by the names of their options.
LEVERS = ("label_smoothing", "rescale_first")


@dataclass(frozen=True)
class House:
    """The package ``harden`` of a checkout."""

    root: Path

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        """The syntax tree of each module, by its dotted name."""
        trees = {}
        for path in sorted((self.root / "harden").rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            trees[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
        return trees

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every function and method, with its module's name."""
        for name, tree in self.modules.items():
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield name, node

    def lines(self) -> int:
        """Lines of all modules."""
        return sum(len(path.read_text().splitlines()) for path in (self.root / "harden").rglob("*.py"))

    def untyped_dicts(self) -> int:
        """How often ``dict[str, Any]`` is written."""
        return sum(
            ast.unparse(node) == "dict[str, Any]"
            for tree in self.modules.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.Subscript)
        )

    def long_functions(self) -> int:
        """Functions with eight or more parameters, ``self`` and ``cls`` left out."""
        return sum(parameters(function) >= LONG for _, function in self.functions())

    def evaluations_spelt_out(self) -> int:
        """Calls of ``evaluate`` with three or more keywords, outside of ``harden.evaluation``."""
        spelt = 0
        for name, tree in self.modules.items():
            if name.startswith("harden.evaluation"):
                continue
            # Several files know the function by another name, or build its keywords elsewhere.
            aliases = {
                alias.asname or alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module == "harden.evaluation.evaluate"
                for alias in node.names
                if alias.name == "evaluate"
            }
            spelt += sum(
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in aliases
                and len(node.keywords) >= 3
                for node in ast.walk(tree)
            )
        return spelt

    def circles(self) -> int:
        """Groups of modules that import each other, imports inside functions and for type checkers included."""
        graph = {name: set(self._imports(name, tree)) for name, tree in self.modules.items()}
        return sum(len(group) > 1 for group in strongly_connected(graph))

    def _imports(self, name: str, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.modules)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inside = f"{node.module}.{alias.name}"
                    target = inside if inside in self.modules else node.module
                    # A package that gathers its members is no circle with them: the members do not use what it gathers.
                    if target in self.modules and not name.startswith(f"{target}."):
                        yield target

    def lazy_imports(self) -> int:
        """Imports of ``harden`` inside functions of ``harden/graph``."""
        return sum(
            isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harden")
            for name, function in self.functions()
            if name.startswith("harden.graph")
            for node in ast.walk(function)
        )

    def files_of_a_lever(self) -> int:
        """The most files of ``harden/`` and hand-written pages that name the option of one lever."""
        files = [*(self.root / "harden").rglob("*.py"), *(self.root / "docs").glob("levers.md")]
        texts = [file.read_text() for file in files]
        return max(sum(lever in text for text in texts) for lever in LEVERS)

    def pyright_strict(self) -> int:
        """Entries of pyright's list of strict files and folders."""
        tables = (self.root / "pyproject.toml").read_text().split("\n[")
        table = next(text for text in tables if text.startswith("tool.pyright]"))
        start = table.index("strict = [")
        return table[start : table.index("]", start)].count('"') // 2


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many values a caller may give."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def strongly_connected(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of nodes that reach each other (Tarjan, SIAM J. Comput. 1 (1972)).

    Example:
        >>> sorted(map(sorted, strongly_connected({"a": {"b"}, "b": {"a"}, "c": {"a"}})))
        [['a', 'b'], ['c']]
    """
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[set[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in graph[node]:
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            at = stack.index(node)
            groups.append(set(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in order:
            visit(node)
    return groups


FIGURES: dict[str, Callable[[House], int]] = {
    "dict[str, Any]": House.untyped_dicts,
    "functions with 8 or more parameters": House.long_functions,
    "places that spell evaluate(...) out": House.evaluations_spelt_out,
    "import circles": House.circles,
    "imports inside functions of graph/": House.lazy_imports,
    "files that name one lever's option": House.files_of_a_lever,
    "entries under pyright strict": House.pyright_strict,
    "lines of harden/": House.lines,
    "modules": lambda house: len(house.modules),
}


def main(roots: list[str]) -> None:
    houses = [House(Path(root)) for root in roots or [str(Path(__file__).parents[1])]]
    print(f"{'':40}" + "".join(f"{str(house.root)[-18:]:>20}" for house in houses))
    for name, figure in FIGURES.items():
        print(f"{name:40}" + "".join(f"{figure(house):>20,}" for house in houses))


if __name__ == "__main__":
    main(sys.argv[1:])
