"""Kernels: functions written as LLVM instructions, compiled once for a machine and kept as machine code.

Whoever runs one needs neither llvmlite nor a compiler. What a kernel does is known where it is used
(`trees`, `json_rows`); a kernel that is not there costs speed, nothing else.

Belongs here: the words kernels are written in, compiling them, their code on disk and in memory. Does not:
any kernel. Read `code_file.py` first.
"""
