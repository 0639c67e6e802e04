"""The ONNX project's own node tests, run against our modules.

Cases that we do not pass are listed in conformance.toml, each with a reason.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import torch
from onnx.backend.test.loader import load_model_tests

from harden.graph.build import normal_domain
from harden.graph.file import Model
from harden.graph.ops import operators
from harden.graph.tensors import to_torch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RTOL = {torch.bfloat16: 2e-2, torch.float16: 2e-3}
ATOL = {torch.bfloat16: 5e-3, torch.float16: 1e-3}


@dataclass(frozen=True)
class Case:
    """One node test: a model, its data, and the operators it is about."""

    name: str
    model: onnx.ModelProto
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    rtol: float
    atol: float
    operators: frozenset[tuple[str, str]]


@cache
def exclusions() -> dict[str, str]:
    """The reason for each excluded pattern of case names."""
    content = tomllib.loads(Path(__file__).with_name("conformance.toml").read_text(encoding="utf-8"))
    return {pattern: entry["reason"] for entry in content["exclude"] for pattern in entry["cases"]}


def excluded(name: str) -> str | None:
    """Why a case is excluded, or None."""
    return next((reason for pattern, reason in exclusions().items() if fnmatchcase(name, pattern)), None)


@cache
def cases() -> tuple[Case, ...]:
    """Every node test of the installed onnx package whose operators we all claim."""
    # Each case's source text is read for onnx's documentation only: a sixth of the time.
    no_text = mock.patch("onnx.backend.test.case.base.process_snippet", return_value=("", ""))
    with warnings.catch_warnings(), no_text:
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    claimed = set(operators())
    kept = []
    for case in found:
        used = frozenset(_used(case.model))
        if used and used <= claimed:
            kept.append(Case(case.name, case.model, case.data_sets, case.rtol, case.atol, used))
    return tuple(kept)


def _used(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    functions = {(f.domain, f.name) for f in model.functions}
    pending = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    while pending:
        node = pending.pop()
        key = (normal_domain(node.domain), node.op_type)
        if key not in functions and key != ("", "Constant"):
            yield key
        for attribute in node.attribute:
            pending.extend(attribute.g.node)
    if any(node.op_type == "Constant" for node in model.graph.node):
        yield "", "Constant"


def value(item: Any) -> Any:
    """A tensor, a sequence of them, or None, from what a node test holds."""
    if item is None:
        return None
    if isinstance(item, list):
        return [value(part) for part in item]
    array = onnx.numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else np.asarray(item)
    return to_torch(array)


def failure(case: Case) -> str | None:
    """What is wrong with our result for a case; None if nothing is."""
    try:
        module = Model.from_proto(case.model).module().eval()
        for inputs, outputs in case.data:
            with torch.no_grad():
                ours = module(*map(value, inputs))
            for index, (a, b) in enumerate(zip(ours if isinstance(ours, tuple) else (ours,), outputs, strict=True)):
                problem = _difference(a, value(b), case)
                if problem:
                    return f"output {index}: {problem}"
    except Exception as error:  # whatever it is, the case is not passed
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None


def _difference(ours: Any, expected: Any, case: Case) -> str | None:
    if expected is None or ours is None:
        return None if expected is ours else "one of them is absent"
    if isinstance(expected, list):
        if len(expected) != len(ours):
            return f"{len(ours)} tensors, not {len(expected)}"
        problems = [_difference(a, b, case) for a, b in zip(ours, expected, strict=True)]
        return next((problem for problem in problems if problem), None)
    if ours.shape != expected.shape or ours.dtype != expected.dtype:
        return f"{ours.dtype} {list(ours.shape)}, not {expected.dtype} {list(expected.shape)}"
    a, b = ours.detach(), expected
    if not a.dtype.is_floating_point:
        return None if torch.equal(a, b) else "different numbers"
    rtol, atol = max(RTOL.get(a.dtype, 0), case.rtol), max(ATOL.get(a.dtype, 1e-6), case.atol)
    same = torch.isclose(a.double(), b.double(), rtol=rtol, atol=atol, equal_nan=True)
    return None if bool(same.all()) else f"{int((~same).sum())} of {same.numel()} numbers differ"
