"""Noise that does not arrive is caught and named; a tensor that cannot matter is listed, not refused."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from harden.errors import CanaryError
from harden.graph.file import Model
from harden.runtime.canary import canary, check_noise
from harden.runtime.copy import RuntimeCopy


class Silent:
    """A copy that replaces weights the wrong way: ``SessionOptions.add_initializer`` is ignored by the optimisers."""

    def __init__(self, copy):
        self.uses = copy.uses
        self.rounding = copy.rounding
        self._copy = copy

    def session(self, values=None, *, threads=1):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        kept = []
        for key, value in (values or {}).items():
            array = np.ascontiguousarray(value.numpy() if isinstance(value, torch.Tensor) else value)
            kept.append(ort.OrtValue.ortvalue_from_numpy(array))
            options.add_initializer(key, kept[-1])
        session = ort.InferenceSession(self._copy.original, options, providers=["CPUExecutionProvider"])

        class Runner:
            def run(self, *inputs):
                assert len(kept) == len(values or {})  # the buffers live as long as the session
                return session.run(None, {session.get_inputs()[0].name: inputs[0]})

        return Runner()


@pytest.mark.parametrize("batch_norm", [False, True], ids=["conv", "conv+bn"])
def test_silently_ignored_weights_are_caught_and_named(convolutions, images, tmp_path, batch_norm):
    model = Model.from_proto(convolutions(batch_norm=batch_norm))
    copy = RuntimeCopy.build(model, tmp_path)

    with pytest.raises(CanaryError) as caught:
        check_noise(Silent(copy), model.module(), (images,))

    assert "weight" in (caught.value.where or "")
    assert caught.value.exit_code == 5


def test_outputs_below_the_floor_of_the_rule_hide_no_lost_noise(convolutions, images, tmp_path):
    proto = convolutions()
    for tensor in proto.graph.initializer:
        if tensor.name.startswith("c."):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e-9), tensor.name))
    model = Model.from_proto(proto)
    assert canary(model, (images,)).tensors == 3
    with pytest.raises(CanaryError, match="does not reach"):
        check_noise(Silent(RuntimeCopy.build(model, tmp_path)), model.module(), (images,))


@pytest.mark.parametrize("batch_norm", [False, True], ids=["conv", "conv+bn"])
def test_the_real_copy_passes(convolutions, images, batch_norm):
    found = canary(Model.from_proto(convolutions(batch_norm=batch_norm)), (images,))

    assert found.tensors == 3
    assert found.inert == ()


def test_only_the_guilty_tensor_is_named(convolutions, images, tmp_path):
    model = Model.from_proto(convolutions())
    copy = RuntimeCopy.build(model, tmp_path)

    class OneLost:
        uses = copy.uses
        rounding = copy.rounding

        def session(self, values=None, *, threads=1):
            return copy.session({k: v for k, v in (values or {}).items() if k != "b.weight"}, threads=threads)

    with pytest.raises(CanaryError) as caught:
        check_noise(OneLost(), model.module(), (images,))

    assert caught.value.where == "b.weight"


def test_a_dead_channel_is_inert_not_an_error(convolutions, images):
    found = canary(Model.from_proto(convolutions(dead=True)), (images,))

    # Behind the dead Relu everything is zero: neither the convolution before it nor the one after it moves anything,
    # and the last layer sees zeros.
    assert found.inert == ("a.weight", "b.weight", "c.weight")


def test_a_model_that_disagrees_without_noise_is_not_blamed_on_a_tensor(convolutions, images, tmp_path):
    model = Model.from_proto(convolutions())
    copy = RuntimeCopy.build(model, tmp_path)

    class Shifted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model.module()

        def forward(self, *inputs, weights=None):
            return self.inner(*inputs, weights=weights) + 1

    with pytest.raises(CanaryError, match="no noise at all"):
        check_noise(copy, Shifted(), (images,))
