"""Unsigned LEB128 numbers, seven bits a byte, least significant first."""

MAX_BYTES = 5


def encode(value: int) -> bytes:
    """The shortest form of `value` >= 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """The number at `position` and the position behind it.

    Raises ValueError where the data end early, where the number takes more than five bytes, and
    where it is not in its shortest form.
    """
    value = 0
    for count in range(MAX_BYTES):
        if position >= len(data):
            msg = "the data end within a LEB128 number"
            raise ValueError(msg)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if count and not byte:
                msg = "a LEB128 number is not in its shortest form"
                raise ValueError(msg)
            return value, position
    msg = f"a LEB128 number takes more than {MAX_BYTES} bytes"
    raise ValueError(msg)
