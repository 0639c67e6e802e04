"""The last linear layer of a classifier: found in the graph, and replaced by one for other classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from harden.errors import ModelError
from harden.graph.storage import slots
from harden.graph.tensors import FLOATS, numpy_type

if TYPE_CHECKING:
    from harden.graph.file import Model


@dataclass(frozen=True)
class Head:
    """A layer ``logits = W features + b`` that makes the first output.

    Attributes:
        node: Name of the node that multiplies; its output, where it has no name.
        features: Name of the tensor it reads, [B, D].
        weight: Name of W's tensor.
        bias: Name of b's tensor.
        rows: Whether W lies in the file as [classes, D]; else as [D, classes].
        width: D.
    """

    node: str
    features: str
    weight: str
    bias: str
    rows: bool
    width: int


def find_head(model: Model) -> Head:
    """The layer that makes the first output.

    Raises:
        ModelError: The output is not made by a Gemm, or by a MatMul and an Add, with stored weights and biases.
    """
    graph = model.proto.graph
    makers = {name: node for node in graph.node for name in node.output}
    stored = _stored(model.proto)
    last = makers.get(graph.output[0].name)
    made_by = "nothing" if last is None else last.op_type
    found = None
    if last is not None and last.op_type == "Gemm" and len(last.input) == 3:
        found = _head(last, last.input[2], stored)
    elif last is not None and last.op_type == "Add":
        for position in (0, 1):
            product = makers.get(last.input[position])
            if product is not None and product.op_type == "MatMul":
                found = _head(product, last.input[1 - position], stored)
                made_by = "a MatMul and an Add"
    if found is None:
        raise ModelError(
            f"the first output '{graph.output[0].name}' is made by {made_by}, not by a linear layer with stored "
            "weights and biases, so that the layer cannot be replaced",
            where=model.source,
            fix="Train a model for these classes first, and leave --new-head out",
        )
    return found


def _head(node: NodeProto, bias: str, stored: dict[str, TensorProto]) -> Head | None:
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if any(given.get(name, value) != value for name, value in plain.items()):
        return None
    if any(name not in stored or stored[name].data_type not in FLOATS for name in (node.input[1], bias)):
        return None
    shape = stored[node.input[1]].dims
    if len(shape) != 2:
        return None
    rows = bool(given.get("transB", 0))
    return Head(node.name or node.output[0], node.input[0], node.input[1], bias, rows, shape[1 if rows else 0])


def features_model(model: Model, head: Head) -> Model:
    """The model up to its last layer: its only output is what the head reads, [B, D]."""
    from harden.graph.file import Model

    proto = _copy(model.proto)
    kind = _stored(proto)[head.weight].data_type
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info(head.features, kind, [None, head.width]))
    return Model(proto, model.source)


def with_head(model: Model, head: Head, weight: np.ndarray, bias: np.ndarray) -> Model:
    """The model with another last layer; every other node and tensor stays.

    Args:
        model: The model.
        head: From :func:`find_head`.
        weight: W, [classes, D].
        bias: b, [classes].
    """
    from harden.graph.file import Model

    proto = _copy(model.proto)
    stored = _stored(proto)
    for name, value in ((head.weight, weight if head.rows else weight.T), (head.bias, bias)):
        place = stored[name]
        place.CopyFrom(numpy_helper.from_array(value.astype(numpy_type(place.data_type)), place.name))
    dims = proto.graph.output[0].type.tensor_type.shape.dim
    if dims:
        dims[-1].dim_value = len(bias)
    makers = {output: node for node in proto.graph.node for output in node.output}
    product = makers[proto.graph.output[0].name].input  # of a MatMul and an Add, the shape between them is another
    for info in [one for one in proto.graph.value_info if one.name in product and one.name != head.features]:
        proto.graph.value_info.remove(info)
    return Model(proto, model.source)


def _stored(proto: ModelProto) -> dict[str, TensorProto]:
    """The tensors of the main graph by the name that nodes read them by."""
    return {slot.local: slot.place for slot in slots(proto) if not slot.scope and isinstance(slot.place, TensorProto)}


def _copy(proto: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(proto)
    return copy
