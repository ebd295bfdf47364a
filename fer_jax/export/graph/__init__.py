"""From a network's JAX program to a graph of ONNX operations."""
