"""SM2 signatures with SM3 (GB/T 32918.2): a thin binding to OpenSSL 3, whose arithmetic is in constant time.

Keys go in as 32 bytes, public keys come out as 33 (SEC 1, compressed), signatures are `r 32 ‖ s 32`.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from hsm_sim.p256 import flat, private_number

ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SIGNER = b"1234567812345678"
"""The name of the signer that goes into the digest where none is agreed on (GM/T 0009)."""

_NUMBER_BYTES = 32
_SIGNATURE_ROOM_BYTES = 80
# A SEC 1 private key without its public half, which the library works out, on the curve 1.2.156.10197.1.301.
_PRIVATE_HEAD = bytes.fromhex("3031020101 0420")
_PRIVATE_TAIL = bytes.fromhex("A00A 0608 2A811CCF5501822D")
_POINT_BYTES = 65


class Sm2Unavailable(Exception):
    """The machine's OpenSSL cannot do SM2; the message says what is missing and what to install."""


def sign(key: bytes, message: bytes) -> bytes:
    """Sign a message; every signature is another one. Raises Sm2Unavailable."""
    library = _library()
    with _private_key(key) as private, _freed(library.EVP_MD_CTX_new(), library.EVP_MD_CTX_free) as context:
        of_key = ctypes.c_void_p()
        _done(library.EVP_DigestSignInit(context, ctypes.byref(of_key), library.EVP_sm3(), None, private))
        _done(library.EVP_PKEY_CTX_set1_id(of_key, SIGNER, len(SIGNER)))
        room, used = (
            ctypes.create_string_buffer(_SIGNATURE_ROOM_BYTES),
            ctypes.c_size_t(_SIGNATURE_ROOM_BYTES),
        )
        _done(library.EVP_DigestSign(context, room, ctypes.byref(used), message, len(message)))
    return flat(room.raw[: used.value])


def public_key(key: bytes) -> bytes:
    """The public key of a key. Raises Sm2Unavailable."""
    library = _library()
    with _private_key(key) as private:
        room, used = ctypes.create_string_buffer(_POINT_BYTES), ctypes.c_size_t()
        _done(
            library.EVP_PKEY_get_octet_string_param(
                private, b"encoded-pub-key", room, _POINT_BYTES, ctypes.byref(used)
            )
        )
    point = room.raw
    return bytes((2 + (point[-1] & 1),)) + point[1 : 1 + _NUMBER_BYTES]


@contextmanager
def _private_key(key: bytes) -> Iterator[int]:
    library = _library()
    packed = _PRIVATE_HEAD + private_number(key, ORDER).to_bytes(_NUMBER_BYTES) + _PRIVATE_TAIL
    start = ctypes.c_char_p(packed)
    made = library.d2i_AutoPrivateKey(None, ctypes.byref(start), len(packed))
    with _freed(made, library.EVP_PKEY_free) as private:
        yield private


@contextmanager
def _freed(made: int | None, free: Any) -> Iterator[int]:
    if not made:
        raise _unavailable()
    try:
        yield made
    finally:
        free(made)


def _done(result: int) -> None:
    if result != 1:
        raise _unavailable()


def _unavailable() -> Sm2Unavailable:
    library = _library()
    said = ctypes.create_string_buffer(256)
    library.ERR_error_string_n(library.ERR_get_error(), said, len(said))
    return Sm2Unavailable(f"OpenSSL cannot do SM2 ({said.value.decode()}); install one that is built with it")


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libcrypto.so.3")
    except OSError as error:
        raise Sm2Unavailable(f"SM2 needs OpenSSL 3 ({error}); install the package libssl3") from error
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "d2i_AutoPrivateKey": (pointer, [pointer, pointer, ctypes.c_long]),
        "EVP_PKEY_free": (None, [pointer]),
        "EVP_PKEY_get_octet_string_param": (
            ctypes.c_int, [pointer, ctypes.c_char_p, pointer, size, pointer]
        ),
        "EVP_MD_CTX_new": (pointer, []),
        "EVP_MD_CTX_free": (None, [pointer]),
        "EVP_sm3": (pointer, []),
        "EVP_DigestSignInit": (ctypes.c_int, [pointer, pointer, pointer, pointer, pointer]),
        "EVP_PKEY_CTX_set1_id": (ctypes.c_int, [pointer, ctypes.c_char_p, ctypes.c_int]),
        "EVP_DigestSign": (ctypes.c_int, [pointer, pointer, pointer, ctypes.c_char_p, size]),
        "ERR_get_error": (ctypes.c_ulong, []),
        "ERR_error_string_n": (None, [ctypes.c_ulong, pointer, size]),
    }  # fmt: skip
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
