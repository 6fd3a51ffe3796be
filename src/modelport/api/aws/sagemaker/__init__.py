"""The operations of SageMaker's control plane, a file for each group: from a request to a wish, and back.

Not here: the protocol (`api/aws`), and what a wish means (`control`). Start with `models.py`.
"""
