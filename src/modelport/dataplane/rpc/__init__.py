"""Open Inference Protocol V2 over gRPC: a process of its own that asks the workers over their Unix socket.

Belongs here: messages to V2 bodies with binary tensors and back, statuses, the connections to the workers.
Does not: what a tensor or a model is; every rule is the workers', and what they refuse is refused in their
words. Nothing of a worker imports this, so that a worker never loads grpcio. Read `service.py` first.
"""
