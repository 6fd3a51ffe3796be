"""Request bytes to matrix rows, and answers to reply bytes; one file per content type.

Belongs here: formats of the wire, and errors that say row, feature, found and expected. Does not: the rules
by which a value becomes a number (`runtime/cells.py`), HTTP itself. Read `json_text.py` first: its fast path
carries nearly all traffic. Each decoder has a fast path generated from the signature and a slow, general one
that takes over on any failure, and which alone words the errors.
"""

from modelport.runtime.codecs.open_inference import TRITON as TRITON_TYPE
from modelport.runtime.codecs.open_inference_reply import MixedReply, OpenInferenceEncoder
from modelport.runtime.codecs.packing import ENCODINGS, Unpacking, parse_content_encoding, unpack
from modelport.runtime.codecs.registry import Codecs, Decoder, Encoder
from modelport.runtime.codecs.tensors import input_tensors, output_tensors
from modelport.runtime.codecs.values import Lengthy

__all__ = [
    "ENCODINGS",
    "TRITON_TYPE",
    "Codecs",
    "Decoder",
    "Encoder",
    "Lengthy",
    "MixedReply",
    "OpenInferenceEncoder",
    "Unpacking",
    "input_tensors",
    "output_tensors",
    "parse_content_encoding",
    "unpack",
]
