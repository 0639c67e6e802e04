"""Folding batch norms into the weights before them, for the deployed file."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from harden.graph.build import normal_domain
from harden.graph.storage import constant_place
from harden.graph.tensors import FLOATS, to_numpy

if TYPE_CHECKING:
    from harden.graph.file import Model

_AXES = {"Conv": 0, "ConvTranspose": 1}


def fold_batch_norms(model: Model) -> Model:
    """Fold every batch norm that directly follows a convolution into its weights and bias.

    With scale ``g = gamma / sqrt(variance + epsilon)`` for each output, the weights become ``w g`` and the bias
    ``(bias - mean) g + beta``. Batch norms elsewhere stay; the model's ``batch_norm`` then still says ``kept``.

    Args:
        model: The model; a graph without such a batch norm is returned as it is.

    Returns:
        A model with fewer nodes. The weights keep their names; a bias that a convolution did not have takes the batch
        norm's.
    """
    from harden.graph.file import BATCH_NORM_KEY, Model

    proto = ModelProto()
    proto.CopyFrom(model.proto)
    graph = _Graph(proto.graph)
    folded = [node for node in list(proto.graph.node) if node.op_type == "BatchNormalization" and graph.fold(node)]
    if not folded:
        return model
    graph.tidy()
    return Model(proto, model.source).with_metadata({BATCH_NORM_KEY: "folded"})


class _Graph:
    """A graph in which nodes are being merged."""

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        self.makers = {name: node for node in graph.node for name in node.output}
        self.readers: Counter[str] = Counter(name for node in graph.node for name in _read(node))
        self.readers.update(item.name for item in graph.output)
        self.tensors: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            place = constant_place(node) if node.op_type == "Constant" and node.output else None
            if isinstance(place, TensorProto):
                self.tensors[node.output[0]] = place

    def fold(self, norm: NodeProto) -> bool:
        """Merge one batch norm with the convolution before it, if there is one of its own."""
        layer = self.makers.get(norm.input[0])
        if layer is None or layer.op_type not in _AXES or normal_domain(layer.domain):
            return False
        if self.readers[norm.input[0]] != 1 or len(norm.output) != 1 or _attribute(norm, "training_mode", 0):
            return False
        has_bias = len(layer.input) > 2 and bool(layer.input[2])
        names = [*norm.input[1:5], layer.input[1], *([layer.input[2]] if has_bias else [])]
        if any(name not in self.tensors or self.tensors[name].data_type not in FLOATS for name in names):
            return False
        gamma, beta, mean, variance, weight, *rest = (to_numpy(self.tensors[name]).astype(np.float64) for name in names)
        axis = _AXES[layer.op_type]
        groups = int(_attribute(layer, "group", 1)) if axis else 1
        gain = gamma / np.sqrt(variance + _attribute(norm, "epsilon", 1e-5))
        bias = (rest[0] if rest else 0.0) * gain - mean * gain + beta
        # A transposed convolution has the outputs of each group on axis 1, the groups along axis 0.
        if axis:
            parts = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
            gains = gain.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
            weight = (parts * gains).reshape(weight.shape)
        else:
            weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
        layer.input[1] = self._store(layer.input[1], layer, weight, self.tensors[names[4]].data_type)
        bias_name = self._store(
            layer.input[2] if has_bias else norm.input[2], layer, bias, self.tensors[names[1]].data_type
        )
        if has_bias:
            layer.input[2] = bias_name
        else:
            del layer.input[2:]
            layer.input.append(bias_name)
        layer.output[0] = norm.output[0]
        self.makers[norm.output[0]] = layer
        self.graph.node.remove(norm)
        return True

    def tidy(self) -> None:
        """Drop tensors that nothing reads any more."""
        read = {name for node in self.graph.node for name in _read(node)} | {item.name for item in self.graph.output}
        for tensor in [tensor for tensor in self.graph.initializer if tensor.name not in read]:
            self.graph.initializer.remove(tensor)
        for node in [node for node in self.graph.node if node.op_type == "Constant" and node.output[0] not in read]:
            self.graph.node.remove(node)
        for item in [item for item in self.graph.input if item.name not in read and item.name in self.tensors]:
            self.graph.input.remove(item)

    def _store(self, name: str, layer: NodeProto, array: np.ndarray, data_type: int) -> str:
        """Put numbers under a name, or under one of the layer's own where others read that name too."""
        tensor = self.tensors[name]
        array = array.astype(helper.tensor_dtype_to_np_dtype(data_type))
        if self.readers[name] == 1 and tensor.data_type == data_type:
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
            return name
        fresh = f"{name}@{layer.name or layer.output[0]}"
        self.graph.initializer.append(numpy_helper.from_array(array, fresh))
        return fresh


def _read(node: NodeProto) -> list[str]:
    """Every value that a node or the graphs nested in it read."""
    names = list(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names += _read(inner)
        names += [item.name for item in attribute.g.output]
    return names


def _attribute(node: NodeProto, name: str, default: float) -> float:
    found = next((item for item in node.attribute if item.name == name), None)
    return default if found is None else helper.get_attribute_value(found)
