"""MACs of batch files, and signatures: of digests under the city's key, of messages under the QR issuer's."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hsm_sim.box import Answer, Box, cmac, compared, is_message, is_name
from hsm_sim.keys import Usage
from hsm_sim.wire import ErrorCode


def make_batch_mac(box: Box, *, version: bytes, operator: bytes, digest: bytes) -> Answer:
    """G0: the MAC under which an operator presents a batch."""
    return _batch_mac(box, version, operator, digest)


def verify_batch_mac(box: Box, *, version: bytes, operator: bytes, digest: bytes, mac: bytes) -> Answer:
    """G2: whether that operator made this MAC over this digest."""
    made = _batch_mac(box, version, operator, digest)
    return made if isinstance(made, ErrorCode) else compared(made, mac)


def sign_digest(box: Box, *, version: bytes, digest: bytes) -> Answer:
    """G4: an Ed25519 signature (RFC 8032) over the digest."""
    return _signature(box, Usage.SIGNATURE, version, digest)


def public_key(box: Box, *, version: bytes) -> Answer:
    """G6: the key by which anybody verifies what G4 signs."""
    return _public_key(box, Usage.SIGNATURE, version)


def sign_message(box: Box, *, version: bytes, message: bytes) -> Answer:
    """G8: the QR issuer's Ed25519 signature over a message of 1 to 4096 bytes."""
    if not is_message(message):
        return ErrorCode.LENGTH_WRONG
    return _signature(box, Usage.QR_SIGNATURE, version, message)


def qr_public_key(box: Box, *, version: bytes) -> Answer:
    """GA: the key by which anybody verifies what G8 signs."""
    return _public_key(box, Usage.QR_SIGNATURE, version)


def _batch_mac(box: Box, version: bytes, operator: bytes, digest: bytes) -> bytes | ErrorCode:
    if not is_name(operator):
        return ErrorCode.VALUE_IMPOSSIBLE
    root = box.keys.find(Usage.BATCH_ROOT, version[0])
    return ErrorCode.KEY_UNKNOWN if root is None else cmac(cmac(root, operator), digest)


def _signature(box: Box, usage: Usage, version: bytes, content: bytes) -> Answer:
    number, key = _signature_key(box, usage, version)
    return bytes((number,)) + key.sign(content) if key else ErrorCode.KEY_UNKNOWN


def _public_key(box: Box, usage: Usage, version: bytes) -> Answer:
    number, key = _signature_key(box, usage, version)
    return bytes((number,)) + key.public_key().public_bytes_raw() if key else ErrorCode.KEY_UNKNOWN


def _signature_key(box: Box, usage: Usage, version: bytes) -> tuple[int, Ed25519PrivateKey | None]:
    number = version[0] or box.keys.newest(usage)
    seed = box.keys.find(usage, number)
    return number, None if seed is None else Ed25519PrivateKey.from_private_bytes(seed)
