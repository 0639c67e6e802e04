"""From timm and torch to ONNX, with batch norms kept and every tensor under its own name."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import onnx
import torch
from torch import nn

from harden.errors import ModelError
from harden.graph import folding
from harden.graph.file import Model
from harden.graph.storage import slots
from harden.graph.tensors import from_torch as to_array

OPSET = 18
INPUT, OUTPUT = "input", "logits"


def from_torch(
    module: nn.Module,
    example: torch.Tensor | Sequence[torch.Tensor],
    *,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    fold_batch_norms: bool = False,
    source: str | None = None,
) -> Model:
    """Export a torch module as it computes in ``eval()``.

    Both of torch's exporters are tried, with an open batch size first; what comes out must compute what the module
    computes.

    Args:
        module: The module; left as it was.
        example: An input, or several.
        input_names: Names of the inputs; ``input``, ``input_2``, ... by default.
        output_names: Names of the outputs; ``logits``, ``logits_2``, ... by default.
        fold_batch_norms: Fold batch norms into the weights before them.
        source: Where the module comes from, for messages.

    Raises:
        ModelError: No export computes what the module computes.
    """
    examples = (example,) if isinstance(example, torch.Tensor) else tuple(example)
    names = list(input_names) or [INPUT if i == 0 else f"{INPUT}_{i + 1}" for i in range(len(examples))]
    source = source or f"<{type(module).__name__}>"
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            expected = _flat(module(*examples))
        outputs = list(output_names) or [OUTPUT if i == 0 else f"{OUTPUT}_{i + 1}" for i in range(len(expected))]
        model = _first_that_agrees(module, examples, names, outputs, source)
    finally:
        module.train(was_training)
    if fold_batch_norms:
        model = folding.fold_batch_norms(model)
    return model


def _first_that_agrees(
    module: nn.Module, examples: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str], source: str
) -> Model:
    problems = []
    for exporter, is_open in ((_scripted, True), (_dynamo, True), (_scripted, False), (_dynamo, False)):
        label = f"{exporter.__name__[1:]}, {'open' if is_open else 'fixed'} batch size"
        try:
            proto = _export(exporter, module, examples, inputs, outputs, is_open)
            model = Model.from_proto(proto, source)
            _compare(model, module, examples, is_open)
            return model
        except Exception as error:  # the exporters raise anything; every reason is reported
            first = (str(error).strip() or type(error).__name__).split("\n")[0]
            problems.append(f"{label}: {first[:200]}")
    raise ModelError("cannot be exported to ONNX: " + "; ".join(problems), where=source)


def _compare(model: Model, module: nn.Module, examples: tuple[torch.Tensor, ...], is_open: bool) -> None:
    """Check the export on the examples, and on another batch size where it is open."""
    interpreted = model.module().eval()
    trials = [examples]
    if is_open:
        trials.append(tuple(torch.cat([item, item[:1]]) if item.dim() else item for item in examples))
    for inputs in trials:
        with torch.no_grad():
            pairs = zip(_flat(interpreted(*inputs)), _flat(module(*inputs)), strict=True)
        for ours, theirs in pairs:
            if ours.shape != theirs.shape:
                raise ModelError(f"the export gives shape {list(ours.shape)}, the module {list(theirs.shape)}")
            a, b = ours.double(), theirs.double()
            if not bool(((a - b).abs() <= 1e-4 * b.abs().max() + 1e-3 * b.abs()).all()):
                raise ModelError(f"the export differs from the module by {float((a - b).abs().max()):.3g}")


def _flat(outputs: Any) -> tuple[torch.Tensor, ...]:
    if isinstance(outputs, torch.Tensor):
        return (outputs,)
    if isinstance(outputs, dict):
        outputs = outputs.values()
    return tuple(tensor for item in outputs if item is not None for tensor in _flat(item))


def _export(
    exporter: Any,
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    is_open: bool,
) -> onnx.ModelProto:
    """Export, with equal tensors kept apart: exporters merge them, which would tie their training for good."""
    with _distinct(module) as (changed, originals), _quiet():
        proto = exporter(module, examples, inputs, outputs, is_open)
    held = {slot.name: slot for slot in slots(proto)}
    if not set(changed) <= set(held):
        with _quiet():
            return exporter(module, examples, inputs, outputs, is_open)
    for name in changed:
        held[name].write(to_array(originals[name]))
    return proto


def _scripted(
    module: nn.Module, examples: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str], is_open: bool
) -> onnx.ModelProto:
    buffer = io.BytesIO()
    named = [*(n for n, e in zip(inputs, examples, strict=True) if e.dim()), *outputs]
    torch.onnx.export(
        module,
        examples,
        buffer,  # pyright: ignore[reportArgumentType]
        dynamo=False,
        opset_version=OPSET,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=inputs,
        output_names=outputs,
        dynamic_axes={name: {0: "batch"} for name in named} if is_open else None,
    )
    return onnx.load_from_string(buffer.getvalue())


def _dynamo(
    module: nn.Module, examples: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str], is_open: bool
) -> onnx.ModelProto:
    shapes = tuple({0: torch.export.Dim("batch")} if e.dim() else None for e in examples) if is_open else None
    program = torch.onnx.export(
        module,
        examples,
        dynamo=True,
        optimize=False,
        opset_version=OPSET,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=shapes,
        verbose=False,
    )
    if program is None:
        raise ModelError("the exporter returned nothing")
    return program.model_proto


@contextmanager
def _distinct(module: nn.Module) -> Iterator[tuple[list[str], dict[str, torch.Tensor]]]:
    """For a while, tensors that are equal but not the same get different numbers."""
    originals: dict[str, torch.Tensor] = {}
    owners: dict[bytes, int] = {}
    seen: set[int] = set()
    state = module.state_dict(keep_vars=True)
    for name, tensor in state.items():
        if not tensor.is_floating_point() or tensor.data_ptr() in seen or not tensor.numel():
            continue
        seen.add(tensor.data_ptr())
        key = repr(tuple(tensor.shape)).encode() + tensor.detach().cpu().contiguous().numpy().tobytes()
        if key in owners:
            originals[name] = tensor.detach().clone()
        owners[key] = owners.get(key, 0) + 1
    try:
        with torch.no_grad():
            for number, name in enumerate(originals):
                state[name].fill_(1000 + number)
        yield list(originals), originals
    finally:
        with torch.no_grad():
            for name, value in originals.items():
                state[name].copy_(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters talk much; what matters of it is checked."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
