"""Trained models into portable ones: ONNX graphs with a signature, and the original to compare them with.

Belongs here: reading fitted objects of a framework, writing graphs that give the same numbers, and saying
which step cannot be converted. Does not: judging parity (`evaluation`), running graphs for users
(`runtime`), or uploading. Read `conversion.py` first: what comes out. Then `converting.py`: how it starts.
"""

from modelport.formats.converting import convert

__all__ = ["convert"]
