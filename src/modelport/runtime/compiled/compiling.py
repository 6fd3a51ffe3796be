"""From a kernel's instructions to machine code, with LLVM; needs the extra `trees`.

The code is one run of bytes without references to anything outside it. LLVM wraps it in an ELF object on
every system, from which it is taken here. Format:
https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html
"""

from __future__ import annotations

import platform
import struct
from typing import Any

import llvmlite
from llvmlite import binding

from modelport.domain.errors import ModelportError
from modelport.runtime.compiled.words import NAME, Build

TARGETS = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "generic", "arm64": "generic"}
TRIPLES = {"x86-64": "x86_64-unknown-linux-gnu", "generic": "aarch64-unknown-linux-gnu"}
RESERVED = {"generic": "+reserve-x18"}  # a register that belongs to the system on macOS
SECTION, SYMBOL = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
SYMBOLS, RELOCATIONS = 2, {4, 9}
EXECUTABLE = 0x4


def compile_kernel(build: Build) -> tuple[bytes, str]:
    """Return the machine code of a kernel, entered at its first byte, and what compiled it.

    Args:
        build: Writes it.

    Raises:
        ModelportError: This architecture is not known.
    """
    processor = TARGETS.get(platform.machine())
    if processor is None:
        raise ModelportError(f"kernels are not known on {platform.machine()}")
    triple = TRIPLES[processor]
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = binding.parse_assembly(build(triple))
    module.verify()
    machine = binding.Target.from_triple(triple).create_target_machine(
        cpu=processor, features=RESERVED.get(processor, ""), opt=3, reloc="pic", codemodel="small"
    )
    _optimise(module, machine)
    version = ".".join(map(str, binding.llvm_version_info))
    return _code_of(machine.emit_object(module)), f"llvmlite {llvmlite.__version__}, LLVM {version}"


def _optimise(module: Any, machine: Any) -> None:
    """Optimise, without what would make calls or tables out of loops."""
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    options.loop_interleaving = False
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def _code_of(image: bytes) -> bytes:
    """Return the code of an ELF object that holds one function."""
    table, size, count = _header(image)
    sections = [SECTION.unpack_from(image, table + number * size) for number in range(count)]
    codes = [number for number, each in enumerate(sections) if each[2] & EXECUTABLE and each[5]]
    if len(codes) != 1:
        raise ModelportError(f"the compiled kernel has {len(codes)} sections of code, expected 1")
    if any(each[1] in RELOCATIONS and each[7] == codes[0] and each[5] for each in sections):
        raise ModelportError("the compiled kernel refers to something outside its code")
    symbols = next(each for each in sections if each[1] == SYMBOLS)
    names = sections[symbols[6]]
    for position in range(symbols[4], symbols[4] + symbols[5], SYMBOL.size):
        label, _, _, section, value, _ = SYMBOL.unpack_from(image, position)
        begin = names[4] + label
        if image[begin : image.index(b"\0", begin)] == NAME.encode() and section == codes[0] and value == 0:
            _, _, _, _, offset, length, *_ = sections[codes[0]]
            return image[offset : offset + length]
    raise ModelportError("the compiled kernel does not begin with its function")


def _header(image: bytes) -> tuple[int, int, int]:
    """Return where the table of sections is, the size of its entries and their number."""
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    return table, size, count
