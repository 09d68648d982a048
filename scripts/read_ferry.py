#!/usr/bin/env python3
"""Reads a .ferry file of version 1 and prints its arrays and its value as JSON: `scripts/read_ferry.py FILE`.

Written from docs/format.md alone and to be read beside it: a reader in another language does what this one does. Needs
NumPy, msgpack and xxhash, and for compressed arrays zstandard and lz4, which scripts/python-env installs. As a module: `read(path)`, arrays mapped, not copied.

In the output an array has its entry of the header and `sum_of_bytes`, the sum of its elements' bytes modulo 2**32; in
the value it is {"array": its number}. A broken file gives one line on stderr and exit code 1.
"""

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
    dtype = read_dtype(entry["dtype"], name)
    if "codec" in entry:
        content = decompress(content, entry["codec"], entry["nbytes"], name)
    require(math.prod(shape) * dtype.itemsize == len(content), f"{name}: shape and dtype do not make its bytes")
    return np.ndarray(shape, dtype, buffer=content, order=order)


def decompress(content, codec, nbytes, name):
    require(codec in ("zstd", "lz4"), f"{name} is compressed with {codec!r}")
    if codec == "zstd":
        import zstandard
        return zstandard.ZstdDecompressor().decompress(content, max_output_size=nbytes)
    import lz4.frame
    return lz4.frame.decompress(content)
def read_dtype(dtype, name):
    """A type string, or a list of fields; fields called '' are padding."""
    if isinstance(dtype, str):
        require(re.fullmatch(r"[<>|]([biufc]\d+|[SUV]\d+|[Mm]8(\[\w+\])?)", dtype), f"{name} has dtype {dtype!r}")
        return np.dtype(dtype)
    names, titles, formats, offsets, end = [], [], [], [], 0
    for field, of, *shape in dtype:
        title, field = field if isinstance(field, list) else (None, field)
        part = np.dtype((read_dtype(of, name), tuple(*shape)))
        if field != "" or part.kind != "V" or part.names is not None:
            names, titles, formats, offsets = names + [field], titles + [title], formats + [part], offsets + [end]
        end += part.itemsize
    return np.dtype({"names": names, "titles": titles, "formats": formats, "offsets": offsets, "itemsize": end})


def read_tree(tree, arrays):
    def extension(code, payload):
        require(code == ARRAY, f"the tree has an extension value of type {code}")
        number = msgpack.unpackb(payload)
        require(number in range(len(arrays)), f"the tree names an array {number}")
        return arrays[number]

    def mapping(fields):
        # An ndarray travels as its data among what serde says of it; the header says its shape as well.
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
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"read_ferry.py: {sys.argv[1]}: {error}")
