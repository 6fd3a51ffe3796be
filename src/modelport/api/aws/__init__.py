"""The AWS door: unmodified AWS programs speak to modelport here, on the control port.

Belongs here: AWS's protocols, names, errors and limits. Not here: what a wish means (`control`), predictions
(`dataplane`; `runtime.py` only passes them on). Start with `door.py`.

    door.py          which service a request is meant for, who asks, and the reply
    credentials.py   the credential scope that tells the service
    tables/          the operations we offer, made from botocore by tools/aws_tables.py; read by shapes.py
    validation.py    a request against its shape
    shaping.py       a result as its shape has it
    paging.py        lists: filters, order, pages
    sagemaker/       the operations themselves; metrics.py is a service of its own, told by its paths
"""
