"""Trees without ONNX Runtime: a compiled kernel that gives the same bits several times faster.

A serving graph is cut around its tree ensemble. What comes before it runs on ONNX Runtime, where there is
anything; the trees are walked by machine code that was compiled once and is kept in the home; what comes
after is done by the same code where its bits are ONNX Runtime's own, else by ONNX Runtime. Whether a model
uses it is decided when it is loaded: only when every bit of the answers is equal, and only when it is
faster.

Belongs here: reading the ensemble out of a graph, its tables, the kernel, its machine code on disk, the
choice. Does not: anything else about a model. Read `choosing.py` first, then `packing.py` (how trees lie in
memory) and `kernel.py` (how they are walked). `docs/explanation/trees.md` tells the story.
"""
