"""The ONNX graph as the model: read, run in torch, trained, and written back into the very same file."""
