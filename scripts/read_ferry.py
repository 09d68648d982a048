#!/usr/bin/env python3
"""Reads a .ferry file of version 1 and prints its arrays and its value as JSON: `scripts/read_ferry.py FILE`.

Written from docs/format.md alone and to be read beside it: a reader in another language does what this one does. Needs
NumPy, msgpack and xxhash, and for compressed arrays zstandard and lz4, which scripts/python-env installs. As a module: `read(path)`, arrays mapped, not copied.

Bfloat16, which NumPy has not, becomes float32. `Some(None)`, which Python has not, becomes `Somes`.

In the output an array has its entry of the header and `sum_of_bytes`, the sum of its elements' bytes modulo 2**32; in
the value it is {"array": its number}. A broken file gives one line on stderr and exit code 1.
"""

import dataclasses
import json
import math
import os
import re
import struct
import sys

import msgpack
import numpy as np
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest

MAGIC = b"\x89NDFR\r\n\x1a"
PRELUDE = struct.Struct("<8sIIQQQQQQ")
ARRAY = 1  # the MessagePack extension type that stands for an array
SOME = 2  # and the one for options around nothing


@dataclasses.dataclass(frozen=True)
class Somes:
    """`Some(None)`, which is 1, `Some(Some(None))`, which is 2, and so on."""

    count: int


def require(condition, message):
    if not condition:
        raise ValueError(message)


def read(path):
    """The value."""
    return read_parts(path)[0]


def read_parts(path):
    """The value, and each array with its entry of the header."""
    require(os.stat(path).st_size >= PRELUDE.size, "shorter than a prelude")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    header = read_header(data)
    segments = [(entry, read_segment(data, entry)) for entry in header["segments"]]
    tree = part(data, header["tree"]["offset"], header["tree"]["length"], "the tree")
    require(xxh3_64_hexdigest(tree) == header["tree"]["xxh3"], "the tree does not match its checksum")
    return read_tree(tree, [array for _, array in segments]), segments


def read_header(data):
    prelude = bytes(data[:PRELUDE.size])
    magic, version, zero, total, offset, length, checksum, also_zero, own_checksum = PRELUDE.unpack(prelude)
    require(magic == MAGIC, "not a .ferry file")
    require(version == 1, f"version {version}, this reader knows 1")
    require(xxh3_64_intdigest(prelude[:56]) == own_checksum, "the prelude does not match its checksum")
    require(zero == also_zero == 0, "the prelude has something where zeros belong")
    require(total == len(data), f"the prelude says {total} bytes, the file has {len(data)}")
    require(offset + length == total, "the header is not the end of the file")
    header = part(data, offset, length, "the header")
    require(xxh3_64_intdigest(header) == checksum, "the header does not match its checksum")
    return json.loads(bytes(header))


def part(data, offset, length, what):
    require(PRELUDE.size <= offset <= offset + length <= len(data), f"{what} lies outside the file")
    return data[offset:offset + length].data


def read_segment(data, entry):
    name, order, shape = f"array {entry['name']!r}", entry["order"], tuple(entry["shape"])
    content = part(data, entry["offset"], entry.get("stored", entry["nbytes"]), name)
    require(entry["offset"] % (64 if entry["nbytes"] < 1 << 16 else 4096) == 0, f"{name} is not aligned")
    require("xxh3" not in entry or xxh3_64_hexdigest(content) == entry["xxh3"], f"{name} does not match its checksum")
    require(order in ("C", "F"), f"{name} has order {order!r}")
    dtype = read_dtype(entry["dtype"], name, "u2")
    if "codec" in entry:
        content = decompress(content, entry["codec"], entry["nbytes"], name)
    require(math.prod(shape) * dtype.itemsize == len(content), f"{name}: shape and dtype do not make its bytes")
    return widened(np.ndarray(shape, dtype, buffer=content, order=order), read_dtype(entry["dtype"], name, "f4"))


def decompress(content, codec, nbytes, name):
    """What one frame makes, and a byte more at the most than it should."""
    require(codec in ("zstd", "lz4"), f"{name} is compressed with {codec!r}")
    if codec == "zstd":
        import zstandard
        require(zstandard.frame_content_size(content) in (-1, nbytes), f"{name} makes more or fewer bytes than {nbytes}")
        return zstandard.ZstdDecompressor().decompress(content, max_output_size=nbytes + 1, allow_extra_data=False)
    import lz4.frame
    frame = lz4.frame.LZ4FrameDecompressor()
    made = frame.decompress(content, max_length=nbytes + 1)
    require(frame.eof and not frame.unused_data, f"{name} is not one LZ4 frame")
    return made


def read_dtype(dtype, name, bfloat16):
    """A type string, or a list of fields; fields called '' are padding. `bfloat16` is what stands for that."""
    if isinstance(dtype, str):
        known = r"([<>|])(?:(bf2)|([biufc]\d+|[SUV]\d+|[Mm]8(?:\[\w+\])?))"
        found = re.fullmatch(known, dtype)
        require(found, f"{name} has dtype {dtype!r}")
        return np.dtype(found[1] + (bfloat16 if found[2] else found[3]))
    names, titles, formats, offsets, end = [], [], [], [], 0
    for field, of, *shape in dtype:
        title, field = field if isinstance(field, list) else (None, field)
        part = read_dtype(of, name, bfloat16)
        padding = field == "" and part.kind == "V" and part.names is None
        if shape:
            # NumPy does not make such fields of S0, U0 and V0, but of empty records it does.
            part = np.dtype((part if part.itemsize or part.names is not None else [], tuple(*shape)))
        if not padding:
            names, titles, formats, offsets = names + [field], titles + [title], formats + [part], offsets + [end]
        end += part.itemsize
    return np.dtype({"names": names, "titles": titles, "formats": formats, "offsets": offsets, "itemsize": end})


def widened(array, dtype):
    """The array, where its bfloat16 is already what `dtype` has; a copy with float32 in their place, where it is not."""
    if array.dtype == dtype:
        return array
    wide = np.zeros(array.shape, dtype, "F" if array.flags.fnc else "C")
    if dtype.names is None:
        # The upper half.
        wide[...] = (array.astype("u4") << 16).view("f4")
    for field in dtype.names or ():
        wide[field] = widened(array[field], dtype[field].base)
    return wide


def read_tree(tree, arrays):
    def extension(code, payload):
        if code == SOME:
            require(len(payload) == 1 and payload[0] > 0, f"the tree has options around nothing as {payload!r}")
            return Somes(payload[0])
        require(code == ARRAY, f"the tree has an extension value of type {code}")
        number = msgpack.unpackb(payload)
        require(number in range(len(arrays)), f"the tree names an array {number}")
        return arrays[number]

    def mapping(fields):
        # Serde writes an ndarray as its data and its shape; the header has the shape as well.
        is_array = fields.keys() == {"v", "dim", "data"} and isinstance(fields["data"], np.ndarray)
        return fields["data"] if is_array else fields

    return msgpack.unpackb(tree, ext_hook=extension, object_hook=mapping, strict_map_key=False)


def main(path):
    value, segments = read_parts(path)
    numbers = {id(array): number for number, (_, array) in enumerate(segments)}

    def show(value):
        match value:
            case np.ndarray(): return {"array": numbers[id(value)]}
            case dict(): return {str(key): show(item) for key, item in value.items()}
            case list() | bytes(): return [show(item) for item in value]
            case Somes(): return {"somes": value.count}
            case float() if not math.isfinite(value): return str(value)  # JSON has no number for it
            case _: return value

    arrays = [{key: entry[key] for key in ("name", "dtype", "shape", "order", "offset", "nbytes")}
              | {"sum_of_bytes": int(np.frombuffer(array.tobytes(), np.uint8).sum(dtype=np.uint64)) % 2**32}
              for entry, array in segments]
    print(json.dumps({"arrays": arrays, "value": show(value)}, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: read_ferry.py FILE")
    try:
        main(sys.argv[1])
    except Exception as error:  # whatever a library makes of a broken file
        sys.exit(f"read_ferry.py: {sys.argv[1]}: {error}")
