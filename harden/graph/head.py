"""The last linear layer of a classifier: found in the graph, and replaced by one for other classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from harden.errors import ModelError
from harden.graph.editor import Editor
from harden.graph.file import Model
from harden.graph.tensors import FLOATS, numpy_type


@dataclass(frozen=True)
class Head:
    """A layer ``logits = W features + b`` that makes the first output.

    Attributes:
        features: Name of the tensor it reads, [B, D].
        weight: Name of W's tensor.
        bias: Name of b's tensor.
        rows: Whether W lies in the file as [classes, D]; else as [D, classes].
        width: D.
    """

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
    editor = Editor(model.proto)
    output = editor.graph.output[0].name
    last = editor.producers.get(output)
    made_by = "nothing" if last is None else last.op_type
    head = None
    if last is not None and last.op_type == "Gemm" and len(last.input) == 3:
        head = _head(last, last.input[2], editor.constants)
    elif last is not None and last.op_type == "Add":
        for position in (0, 1):
            product = editor.producers.get(last.input[position])
            if product is not None and product.op_type == "MatMul":
                head = _head(product, last.input[1 - position], editor.constants)
                made_by = "a MatMul and an Add"
    if head is None:
        raise ModelError(
            f"the first output '{output}' is made by {made_by}, not by a linear layer with stored "
            "weights and biases, so that the layer cannot be replaced",
            where=model.source,
            fix="Train a model for these classes first, and leave --new-head out",
        )
    return head


def _head(node: NodeProto, bias: str, stored: dict[str, TensorProto]) -> Head | None:
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if any(attributes.get(name, value) != value for name, value in plain.items()):
        return None
    if any(name not in stored or stored[name].data_type not in FLOATS for name in (node.input[1], bias)):
        return None
    shape = stored[node.input[1]].dims
    if len(shape) != 2:
        return None
    rows = bool(attributes.get("transB", 0))
    return Head(node.input[0], node.input[1], bias, rows, shape[1 if rows else 0])


def features_model(model: Model, head: Head) -> Model:
    """The model up to its last layer: its only output is what the head reads, [B, D]."""
    editor = Editor(model.proto)
    kind = editor.constants[head.weight].data_type
    del editor.graph.output[:]
    editor.graph.output.append(helper.make_tensor_value_info(head.features, kind, [None, head.width]))
    return model.replaced(editor.proto)


def with_head(model: Model, head: Head, weight: np.ndarray, bias: np.ndarray) -> Model:
    """The model with another last layer; every other node and tensor stays.

    Args:
        model: The model.
        head: From :func:`find_head`.
        weight: W, [classes, D].
        bias: b, [classes].
    """
    editor = Editor(model.proto)
    for name, value in ((head.weight, weight if head.rows else weight.T), (head.bias, bias)):
        tensor = editor.constants[name]
        tensor.CopyFrom(numpy_helper.from_array(value.astype(numpy_type(tensor.data_type)), tensor.name))
    output, shapes = editor.graph.output[0], editor.graph.value_info
    dims = output.type.tensor_type.shape.dim
    if dims:
        dims[-1].dim_value = len(bias)
    product = editor.producers[output.name].input  # of a MatMul and an Add, the shape between them is another
    for info in [item for item in shapes if item.name in product and item.name != head.features]:
        shapes.remove(info)
    return model.replaced(editor.proto)
