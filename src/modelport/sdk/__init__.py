"""What a Python user imports: a client, and the nouns it hands out.

Belongs here: calls over HTTP to a running platform, and what must happen where the model was trained
(conversion and its proof). Does not: a database, or a rule that the server decides.
Read `client.py` first; `calls.py` holds the functions that `import modelport as mp` offers.
"""
