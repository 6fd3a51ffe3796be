"""The protocol's messages, made from the compiled form of `open_inference.proto`.

They live in a pool of their own and come without generated code: that code refuses or warns under another
major version of protobuf than it was generated with, and a pool that is shared holds each name only once.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "inference.GRPCInferenceService"
PACKAGE = "modelport.open_inference"


def _load() -> dict[str, Any]:
    compiled = resources.files(__package__).joinpath("open_inference.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:
        pool.Add(file)
    names = pool.FindFileByName("open_inference.proto").message_types_by_name
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in names
    }


MESSAGES = _load()
"""Class of each message by its name."""
