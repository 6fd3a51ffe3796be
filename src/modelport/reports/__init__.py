"""Pages, pictures and sentences over what `evaluation` computed.

Belongs here: the content of a report as plain values, and its drawing as text, SVG and one HTML file that
needs nothing from elsewhere. Does not: measuring, reading captures (`jobs`), the console's pages.
Read `content.py` first, then `page.py`.
"""
