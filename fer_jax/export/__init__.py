"""The command `export`: a network as an ONNX or StableHLO file, for other programs than this one."""
