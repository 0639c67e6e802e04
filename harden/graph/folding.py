"""Folding batch norms into the weights before them, for the deployed file."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from harden.graph.editor import Editor
from harden.graph.file import BATCH_NORM_KEY, Model
from harden.graph.storage import normal_domain
from harden.graph.tensors import FLOATS, to_numpy

_AXES = {"Conv": 0, "ConvTranspose": 1}


def fold_batch_norms(model: Model) -> Model:
    """Fold every batch norm that directly follows a convolution into its weights and bias.

    With scale ``g = gamma / sqrt(variance + epsilon)`` for each output, the weights become ``w g`` and the bias
    ``(bias - mean) g + beta``. Batch norms elsewhere stay; the model's ``batch_norm`` then still says ``kept``.

    Args:
        model: The model; a graph without such a batch norm is returned as it is.

    Returns:
        A model with fewer nodes, all of them under the names that they went by. The weights keep their names; a bias
        that a convolution did not have takes the batch norm's.
    """
    editor = Editor(model.proto)
    editor.name_nodes()
    norms = [node for node in editor.graph.node if node.op_type == "BatchNormalization"]
    if not [norm for norm in norms if _fold(editor, norm)]:
        return model
    editor.drop_unread()
    return model.replaced(editor.proto).with_metadata({BATCH_NORM_KEY: "folded"})


def _fold(editor: Editor, norm: NodeProto) -> bool:
    """Merge one batch norm with the convolution before it, if there is one of its own."""
    layer = editor.producers.get(norm.input[0])
    if layer is None or layer.op_type not in _AXES or normal_domain(layer.domain):
        return False
    if editor.consumers[norm.input[0]] != 1 or len(norm.output) != 1 or _attribute(norm, "training_mode", 0):
        return False
    has_bias = len(layer.input) > 2 and bool(layer.input[2])
    names = [*norm.input[1:5], layer.input[1], *([layer.input[2]] if has_bias else [])]
    if any(name not in editor.constants or editor.constants[name].data_type not in FLOATS for name in names):
        return False
    gamma, beta, mean, variance, weight, *rest = (to_numpy(editor.constants[name]).astype(np.float64) for name in names)
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
    layer.input[1] = _store(editor, layer.input[1], layer, weight, editor.constants[names[4]].data_type)
    bias_name = _store(
        editor, layer.input[2] if has_bias else norm.input[2], layer, bias, editor.constants[names[1]].data_type
    )
    if has_bias:
        layer.input[2] = bias_name
    else:
        del layer.input[2:]
        layer.input.append(bias_name)
    editor.remove(norm)
    editor.rename_output(layer.output[0], norm.output[0])
    return True


def _store(editor: Editor, name: str, layer: NodeProto, array: np.ndarray, data_type: int) -> str:
    """Put numbers under a name, or under one of the layer's own where others read that name too."""
    tensor = editor.constants[name]
    array = array.astype(helper.tensor_dtype_to_np_dtype(data_type))
    if editor.consumers[name] == 1 and tensor.data_type == data_type:
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        return name
    return editor.add_constant(editor.fresh_name(f"{name}@{layer.name or layer.output[0]}"), array)


def _attribute(node: NodeProto, name: str, default: float) -> float:
    attribute = next((item for item in node.attribute if item.name == name), None)
    return default if attribute is None else helper.get_attribute_value(attribute)
