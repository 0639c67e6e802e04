"""ONNX Runtime sessions with perturbed initializers, and the checks that the noise arrives.

- `copy`: the runtime copy of a model, in which every analog use has an initializer of its own.
- `sessions`: how a session is opened, in one place.
- `canary`: proof, before any trial, that noise on each tensor reaches ONNX Runtime.
- `parity`: ONNX Runtime and the torch module agree on real inputs.
"""
