"""Plan -> trials -> metrics -> summary, all of it from the exported file in ONNX Runtime."""
