"""S3 for AWS programs, on the control port: from requests to the object store, and back in XML.

Not here: what a bucket or an object is (`control/services/objects.py`). Start with `app.py`.
Source: Amazon S3 API reference.
"""
