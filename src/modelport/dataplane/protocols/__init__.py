"""The languages predictions are asked for in: one file each, mapping a request's head to an `Ask`.

Belongs here: paths, headers, content negotiation, pages (health, metadata) and the wording of errors of one
protocol. Does not: choosing a variant, running a model, reading bodies (`runtime/codecs`). A
further protocol is a further file and a line in `worker.py`. Read `ask.py` first.
"""

from modelport.dataplane.protocols.ask import Ask, Dialect

__all__ = ["Ask", "Dialect"]
