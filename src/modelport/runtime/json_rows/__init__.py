"""JSON rows straight into the serving matrix: a compiled kernel reads what is plain, and declines the rest.

Many rows in one request cost a server more to read than to answer: as Python objects each value is made,
looked at and packed. The kernel reads a feature's values by its rules (`cells.py`) and writes numbers; what
is not plain it leaves to the codecs, which alone word errors.

Belongs here: the kernel, the tables it reads by, the call. Does not: which forms of JSON hold rows
(`codecs/json_text.py`). Read `reader.py` first.
"""
