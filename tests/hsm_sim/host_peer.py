"""A host's side of the public commands, from docs/formats/hsm.md alone: fields, and blocks that it keeps."""

from hsm_sim.box import Answer, Box
from hsm_sim.commands import answer
from hsm_sim.key_blocks import Header, Protection
from hsm_sim.keys import demo_keys
from hsm_sim.wire import ErrorCode, Request

LMK = bytes(range(32))
ZMK_KEY = bytes(range(64, 96))


def counting(count: int) -> bytes:
    return bytes(number & 0xFF for number in range(count))


def machine() -> Box:
    """An HSM with demo keys and an LMK that this test knows."""
    return Box(demo_keys(), counting, "0123456789ABCDEF", "9.9", Protection.of(LMK))


def block(
    usage: str, algorithm: str, mode: str, key: bytes, exportability: str = "E", lmk: bytes = LMK
) -> str:
    """A key as the host keeps it."""
    return "S" + Protection.of(lmk).wrap(Header(usage, algorithm, mode, "00", exportability), key, counting)


ZMK = block("K1", "A", "B", ZMK_KEY, "N")


def ask(command: str, fields: str | bytes, box: Box | None = None) -> Answer:
    packed = fields.encode("ascii") if isinstance(fields, str) else fields
    return answer(box or machine(), Request(b"HEAD", command.encode(), packed))


def told(command: str, fields: str | bytes, box: Box | None = None) -> str:
    """The answer's fields as text; an error fails the test that asked."""
    found = ask(command, fields, box)
    assert isinstance(found, bytes), f"{command} was answered {found!r}"
    return found.decode("ascii")


def code(command: str, fields: str | bytes, box: Box | None = None) -> str:
    """The error code of a refusal."""
    found = ask(command, fields, box)
    assert isinstance(found, ErrorCode), f"{command} was answered {found!r}"
    return str(found)


def cut(text: str) -> tuple[str, str]:
    """A block with its scheme letter, and what follows it."""
    end = 1 + int(text[2:6])
    return text[:end], text[end:]


def unwrapped(text: str, key: bytes = LMK) -> tuple[Header, bytes]:
    return Protection.of(key).unwrap(text[1:])
