"""The city's institutions as the settings name them: the web service and the night talk to the same ones."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from api.settings import Settings
from clearing.peers import Peers
from clearing.sectors.healthcare.insurer_http import TIMEOUT_S, HttpInsurer
from clearing.sectors.utilities.http_biller import HttpBiller


@contextmanager
def connected_peers(chosen: Settings) -> Iterator[Peers]:
    """Clients of the billers and the insurer that `ONECARD_BILLERS` and `ONECARD_INSURER` name.

    `ONECARD_PEER_TIMEOUT_S` is how long each is waited for.
    """
    with peers_at(chosen.billers, chosen.insurer, timeout_s=chosen.peer_timeout_s) as peers:
        yield peers


@contextmanager
def peers_at(
    billers: Mapping[str, str], insurer: str | None, *, timeout_s: float = TIMEOUT_S
) -> Iterator[Peers]:
    """Clients of billers by id and of an insurer at these addresses, until the block ends."""
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(HttpBiller(url, timeout_s=timeout_s)) for name, url in billers.items()
        }
        asked = None if insurer is None else stack.enter_context(HttpInsurer(insurer, timeout_s=timeout_s))
        yield Peers(clients, asked)


def as_doors(peers: Peers) -> dict[str, object]:
    """The peers as endpoints ask for them by name; one that is not connected is not there."""
    doors: dict[str, object] = {"billers": peers.billers}
    return doors if peers.insurer is None else {**doors, "insurer": peers.insurer}
