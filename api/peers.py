"""The city's institutions as the settings name them: the web service and the night talk to the same ones."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType

from api.settings import Settings
from clearing.interop.http_centre import HttpCentre
from clearing.peers import Peers
from clearing.sectors.healthcare.insurer_http import TIMEOUT_S, HttpInsurer
from clearing.sectors.utilities.http_biller import HttpBiller


@contextmanager
def connected_peers(chosen: Settings) -> Iterator[Peers]:
    """Clients of the institutions that `ONECARD_BILLERS`, `ONECARD_INSURER` and `ONECARD_CENTRES` name.

    `ONECARD_PEER_TIMEOUT_S` is how long each is waited for.
    """
    named = chosen.billers, chosen.insurer, chosen.centres
    with peers_at(*named, timeout_s=chosen.peer_timeout_s) as peers:
        yield peers


@contextmanager
def peers_at(
    billers: Mapping[str, str],
    insurer: str | None,
    centres: Mapping[str, str] = MappingProxyType({}),
    *,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Peers]:
    """Clients of billers by id, of an insurer and of centres by code at these addresses, until the block ends."""
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(HttpBiller(url, timeout_s=timeout_s)) for name, url in billers.items()
        }
        asked = None if insurer is None else stack.enter_context(HttpInsurer(insurer, timeout_s=timeout_s))
        abroad = {
            code: stack.enter_context(HttpCentre(url, timeout_s=timeout_s)) for code, url in centres.items()
        }
        yield Peers(clients, asked, abroad)


def as_doors(peers: Peers) -> dict[str, object]:
    """The peers as endpoints ask for them by name; one that is not connected is not there."""
    doors: dict[str, object] = {"billers": peers.billers}
    return doors if peers.insurer is None else {**doors, "insurer": peers.insurer}
