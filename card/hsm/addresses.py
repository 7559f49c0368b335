"""Where HSMs listen, as a setting has it: `host:port`, and several of them with commas in between."""

from typing import NamedTuple


class Address(NamedTuple):
    """Host and port of one HSM."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read `host:port,host:port`, in the order in which they are to be asked. Raises ValueError with the remedy."""
    found = tuple(_parsed(part.strip()) for part in text.split(","))
    if len(set(found)) != len(found):
        raise ValueError(f"{text!r} names an HSM twice; name each once")
    return found


def _parsed(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError(
            f"{text!r} is no address; give host:port, such as 10.0.0.5:1500, and a comma before another"
        )
    return Address(host.removeprefix("[").removesuffix("]"), int(port))
