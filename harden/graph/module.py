"""The graph as a torch module: its parameters are the file's own tensors, under the file's own names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from onnx import TensorProto
from torch import nn

from harden.errors import ModelError
from harden.graph.analog import AnalogWeight, CrossbarPer, Use, analog_weight, crossbars, find_uses, select
from harden.graph.plan import (
    NO_OVERRIDES,
    ExecutionPlan,
    Frame,
    Observer,
    PeripheryHook,
    Step,
    Tracer,
    ancestors,
)
from harden.graph.precision import Precision
from harden.graph.program import Program
from harden.graph.quantized import Quantization
from harden.graph.resizing import FixedBatch, WholeExamples
from harden.graph.roles import Role, Roles, assign_roles
from harden.graph.storage import Slot
from harden.graph.tensors import TORCH_TYPES, to_torch, torch_type
from harden.graph.unsupported import raise_unsupported

_PLANS_KEPT = 16


@dataclass(frozen=True)
class _Tie:
    """Which parameter or statistic a value of the graph is, and how it enters: its type, or its integers."""

    name: str
    dtype: torch.dtype
    quantization: Quantization | None

    def entering(self, tensor: torch.Tensor | None) -> torch.Tensor | None:
        """The tensor as the graph reads it."""
        if tensor is None:
            return None
        if self.quantization is not None:
            return self.quantization.integers(tensor)
        return tensor if tensor.dtype == self.dtype else tensor.to(self.dtype)


class GraphModule(nn.Module):
    """Runs a program in torch, differentiably.

    Parameters are called exactly as the file calls its tensors, dots included; running statistics of batch norms are
    buffers under their own names. Half-precision tensors have single-precision parameters, rounded on the way into
    the graph, so that small updates are not lost.

    In ``train()`` batch norms use the batch's statistics, and move the running ones only if asked to; Dropout is what
    the file says it is, the identity. In ``eval()`` the module computes what ONNX Runtime computes.

    A graph that is made for one batch size takes batches of any size: at once where its sizes can be opened, else in
    pieces of its own size, each with batch statistics of its own.

    Args:
        program: The flattened graph.
        fixed: The batch size that the graph is made for, or that it takes one example at a time; None where the batch
            size is open.

    Attributes:
        periphery: What stands around analog nodes in every forward pass, such as converters; None for nothing.
        precision: What forward passes compute in; None is what the graph says.

    Raises:
        UnsupportedError: Operators are missing, or a weight cannot be trained; all of them are named.
        ModelError: A weight holds NaN.
    """

    def __init__(
        self, program: Program, fixed: FixedBatch | WholeExamples | None = None, per: CrossbarPer = "tensor"
    ) -> None:
        super().__init__()
        raise_unsupported(program)
        self.per: CrossbarPer = per
        self.fixed = fixed
        self._twins: list[GraphModule | None] = []
        self.program = program
        self.periphery: PeripheryHook | None = None
        self.precision: Precision | None = None
        self.roles: Roles = assign_roles(program)
        self.uses: tuple[Use, ...] = tuple(find_uses(program, self.roles, per))
        self.input_names = tuple(program.names[value] for value in program.inputs)
        self.output_names = tuple(program.names[value] for value in program.outputs)
        self._constants: dict[int, torch.Tensor] = {}
        self._tied: dict[int, _Tie] = {}
        for value, slot in program.stored.items():
            role = self.roles.of[slot.name]
            if role is Role.CONSTANT:
                self._constants[value] = to_torch(slot.array())
                continue
            self._own(value, slot, role)
            quantization = self.roles.quantized.get(value)
            dtype = torch.float32 if quantization else torch_type(slot.data_type)
            if role is Role.STATISTIC:
                # Batch norms move the buffer itself, not a rounded copy of it.
                dtype = self._buffers[slot.name].dtype  # type: ignore[union-attr]
            self._tied[value] = _Tie(slot.name, dtype, quantization)
        self._crossbars = crossbars(self.uses)
        self._keys = frozenset(use.key for use in self.uses)
        self._plans: OrderedDict[tuple[Any, ...], ExecutionPlan] = OrderedDict()

    def forward(
        self,
        *inputs: Any,
        weights: Mapping[str, torch.Tensor] | None = None,
        taps: Sequence[str] = (),
        update_statistics: bool = False,
    ) -> Any:
        """Run the graph.

        Args:
            inputs: One tensor (or sequence of tensors, or None) for each of ``input_names``. Floating-point numbers
                where the graph takes others, such as token numbers, are cast to the graph's type.
            weights: Tensors to compute with in place of the module's own: by the key of an analog use, at that use;
                by the name of a parameter or statistic, everywhere it is read.
            taps: Names of values to return as well.
            update_statistics: Whether batch norms move their running statistics (in ``train()`` only).

        Returns:
            The output, or a tuple of several. With ``taps``: that, and a dict of the tapped values.

        Raises:
            ModelError: The inputs, weights or taps do not fit the graph.
        """
        if self.fixed is not None and not self.fixed.fits(inputs):
            return self._resized(self.fixed, inputs, weights=weights, taps=taps, update_statistics=update_statistics)
        if self.precision is None:
            return self._run(inputs, weights, taps, update_statistics)
        precision = self.precision
        with precision.within(_device(inputs)):
            return precision.giving(self._run(tuple(map(precision.taking, inputs)), weights, taps, update_statistics))

    def _run(
        self,
        inputs: tuple[Any, ...],
        weights: Mapping[str, torch.Tensor] | None,
        taps: Sequence[str],
        update_statistics: bool,
    ) -> Any:
        # What a plan has folded away was computed in the precision of its first run.
        signature = (tuple(map(_facts, inputs)), tuple(taps), self.precision)
        plan = self._plans.get(signature)
        frame = self._frame(inputs, weights or NO_OVERRIDES, update_statistics)
        frame.periphery = self.periphery
        outputs = self.program.outputs
        tapped = [self.value(name) for name in taps]
        if plan is None:
            plan = self._trace(frame, {*outputs, *tapped})
            self._plans[signature] = plan
            if len(self._plans) > _PLANS_KEPT:
                self._plans.popitem(last=False)
        else:
            plan.run(frame)
        results = tuple(frame.values[value] for value in outputs)
        result = results[0] if len(results) == 1 else results
        return (result, {name: frame.values[v] for name, v in zip(taps, tapped, strict=True)}) if taps else result

    def observe(
        self, observer: Observer, *inputs: torch.Tensor, weights: Mapping[str, torch.Tensor] | None = None
    ) -> list[Step]:
        """Run the graph, calling ``observer(node, arguments, outputs)`` for each node that is not folded away.

        Args:
            observer: What is called.
            inputs: As :meth:`forward` takes them.
            weights: Tensors to compute with in place of the module's own, as :meth:`forward` takes them.

        Returns:
            The steps of the run.
        """
        if self.fixed is not None and not self.fixed.fits(inputs):
            twin = self._twin(self.fixed)
            module, piece = (twin, inputs) if twin else (self, self.fixed.piece(inputs))
            return module.observe(observer, *piece, weights=weights)
        with torch.no_grad():
            return self._trace(self._frame(inputs, weights or NO_OVERRIDES, False), set(), observer).steps

    def analog_weights(self, digital: Sequence[str] = ()) -> dict[str, AnalogWeight]:
        """The weights on crossbars by key; their tensors carry gradients to the parameters.

        Args:
            digital: Globs over tensor or node names to leave out.
        """
        frame = self._frame((), NO_OVERRIDES, False, partial=True)
        chosen = select(self.uses, digital)
        self._compute_chains(frame, [use for use in chosen if use.chained])
        by_key: dict[str, list[Use]] = {}
        for use in chosen:
            by_key.setdefault(use.key, []).append(use)
        return {key: analog_weight(uses, frame.values[uses[0].value]) for key, uses in by_key.items()}

    def export_weights(self) -> dict[str, torch.Tensor]:
        """Every parameter and running statistic by tensor name, detached, for ``Model.with_weights``."""
        return {
            name: tensor.detach()
            for name, tensor in (*self._parameters.items(), *self._buffers.items())
            if tensor is not None
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphModule:
        """A module with parameters and statistics of its own on the same graph."""
        copy = GraphModule.__new__(GraphModule)
        memo[id(self)] = copy
        copy.__dict__.update(self.__dict__)
        copy._parameters = deepcopy(self._parameters, memo)
        copy._buffers = deepcopy(self._buffers, memo)
        copy._plans = OrderedDict()
        copy._twins = []
        return copy

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Load as any module; torch takes the dots in names for submodules and calls them unexpected."""
        super()._load_from_state_dict(state_dict, prefix, *rest)
        unexpected: list[str] = rest[-2]
        own = {prefix + name for name in (*self._parameters, *self._buffers)}
        unexpected[:] = [name for name in unexpected if name not in own]

    def _twin(self, fixed: FixedBatch | WholeExamples) -> GraphModule | None:
        """A module for any batch size on the very parameters and statistics of this one, where the graph allows it."""
        if not self._twins:
            program = fixed.opened()
            self._twins.append(None if program is None else type(self)(program, per=self.per))
        twin = self._twins[0]
        if twin is not None:
            twin._parameters, twin._buffers = self._parameters, self._buffers
            twin.training, twin.periphery, twin.precision = self.training, self.periphery, self.precision
        return twin

    def _resized(self, fixed: FixedBatch | WholeExamples, inputs: tuple[torch.Tensor, ...], **options: Any) -> Any:
        twin = self._twin(fixed)
        if twin is not None:
            return twin(*inputs, **options)
        return fixed.in_pieces(lambda *piece: self(*piece, **options), inputs)

    def _own(self, value: int, slot: Slot, role: Role) -> None:
        """Take a stored tensor in, in single precision at least; names with dots rule ``register_parameter`` out."""
        if slot.name in self._parameters or slot.name in self._buffers:
            return
        tensor = to_torch(slot.array())
        quantization = self.roles.quantized.get(value)
        if quantization is not None:
            tensor = quantization.real(tensor)
        master = tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
        if role is Role.PARAMETER:
            self._parameters[slot.name] = nn.Parameter(master)
        else:
            self._buffers[slot.name] = master

    def _frame(
        self, inputs: tuple[Any, ...], weights: Mapping[str, torch.Tensor], update: bool, partial: bool = False
    ) -> Frame:
        if not partial:
            self._check(inputs, weights)
        values: list[Any] = [None] * len(self.program.names)
        frozen: set[int] = set()
        for value, tie in self._tied.items():
            name = tie.name
            if weights and name in weights and name not in self._keys:
                tensor = weights[name]
                frozen.add(value)
            else:
                tensor = self._parameters[name] if name in self._parameters else self._buffers[name]
            values[value] = tie.entering(tensor)
        for value, tensor, kind in zip(self.program.inputs, inputs, self.program.input_types, strict=False):
            values[value] = _declared(tensor, kind)
        return Frame(values, self.training, update, self._crossbars, weights, _device(inputs), frozenset(frozen))

    def _check(self, inputs: tuple[Any, ...], weights: Mapping[str, torch.Tensor]) -> None:
        if len(inputs) != len(self.program.inputs):
            takes = f"{len(self.program.inputs)} inputs ({', '.join(self.input_names)})"
            raise ModelError(f"the model takes {takes}, {len(inputs)} were given")
        for name in weights:
            if name not in self._keys and name not in self._parameters and name not in self._buffers:
                raise ModelError(f"the model has no weight called '{name}'")

    def value(self, name: str) -> int:
        """The number of the value called ``name``.

        Raises:
            ModelError: The graph has no such value.
        """
        try:
            return self.program.names.index(name, 1)
        except ValueError:
            raise ModelError(f"the graph has no value called '{name}'") from None

    def _trace(self, frame: Frame, keep: set[int], observer: Observer | None = None) -> ExecutionPlan:
        frame.values = [self._constants.get(i, v) for i, v in enumerate(frame.values)]
        static = set(self._constants)
        shaped = {*static, *self._tied, *self.program.inputs}
        tracer = Tracer(frame, static, shaped, observer)
        tracer.run(self.program.nodes)
        return tracer.plan(keep, len(self.program.names))

    def _compute_chains(self, frame: Frame, uses: list[Use]) -> None:
        if not uses:
            return
        for value, tensor in self._constants.items():
            frame.values[value] = tensor
        makers = {value: node for node in self.program.walk() for value in node.outputs if value}
        for use in uses:
            for node in ancestors(use.value, makers, frame, self.roles.same):
                for value in node.inputs:
                    if value in self.roles.same:  # what a loop hands on
                        frame.values[value] = frame.values[self.roles.same[value]]
                frame.call(node)


def _device(inputs: tuple[Any, ...]) -> torch.device:
    """Where a pass computes."""
    return next((item.device for item in inputs if isinstance(item, torch.Tensor)), torch.device("cpu"))


def _facts(value: Any) -> Any:
    """What a plan may rely on: the shape, type and device of an input, or of each tensor of a sequence."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype, value.device
    return None if value is None else tuple(map(_facts, value))


def _declared(item: Any, kind: int) -> Any:
    """An input in the type the graph declares: data sets give single precision, whatever the model takes.

    A graph in single precision may well be run in double, with parameters to match.
    """
    dtype = None if kind == TensorProto.FLOAT else TORCH_TYPES.get(kind)
    if dtype is None or not isinstance(item, torch.Tensor) or not item.is_floating_point() or item.dtype == dtype:
        return item
    return item.to(dtype)
