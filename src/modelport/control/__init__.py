"""The control plane: `services/` accept a wish, the loop makes it true.

Belongs here: writing wishes with their events, observing, acting on what `domain/planning` decided, the feed
to the workers, keeping order in the home. Does not: deciding what to do next (that is pure, in
`domain/planning`), speaking HTTP (`api/`), starting processes (`engines/`).
Read `plane.py` first (what it is made of), then `loop.py`.
"""
