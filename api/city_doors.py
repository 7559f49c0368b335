"""How a command gets into the city: its HSM, and what production refuses."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from api.doors import Refused, settings
from card.hsm.access import HsmAccess, tls_context
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from city.home import Home
from city.world import City, open_city

if TYPE_CHECKING:
    from api.settings import Settings


@contextmanager
def city(home: Home | None = None) -> Iterator[City]:
    """The city of the settings (or of another home), open; refused in production where it is a simulation."""
    chosen = settings()
    if chosen.production and chosen.hsm is None:
        raise Refused("production needs a real HSM: set ONECARD_HSM to its host:port; hsm-sim is a simulator")
    place = home or chosen.city_home()
    with open_city(
        place,
        database_url=chosen.database if home is None else None,
        hsm_addresses=chosen.hsm_addresses(),
        hsm_timeout_s=2 * chosen.peer_timeout_s,
        hsm_tls=hsm_tls(chosen),
    ) as opened:
        if chosen.production and (who := _simulator(opened.hsm)) is not None:
            raise Refused(f"production refuses {who!r}: set ONECARD_HSM to a real HSM, loaded by a ceremony")
        yield opened


def _simulator(hsm: Hsm) -> str | None:
    """What a simulator among the HSMs says of itself, if one does. Raises HsmError where not one answers."""
    hsm.diagnostics()
    for alone in hsm.each():
        with alone, suppress(HsmError):
            if (who := alone.diagnostics()).simulator:
                return who.text
    return None


def hsm_tls(chosen: "Settings") -> ssl.SSLContext | None:
    """What we trust and show when we speak to HSMs over TLS. Raises Refused where a file will not do."""
    if chosen.hsm_ca is None:
        if chosen.hsm_certificate is not None:
            raise Refused(
                "ONECARD_HSM_CERTIFICATE is set and ONECARD_HSM_CA is not; give who certifies the HSMs"
            )
        return None
    try:
        return tls_context(chosen.hsm_ca, chosen.hsm_certificate)
    except OSError as error:
        raise Refused(
            f"TLS to the HSM: {error} (ONECARD_HSM_CA {chosen.hsm_ca}, ONECARD_HSM_CERTIFICATE "
            f"{chosen.hsm_certificate}); give PEM files, the second with a certificate and its key"
        ) from error


def hsm_access(opened: City) -> HsmAccess:
    """How another process reaches the HSMs that this city asks."""
    chosen = settings()
    addresses = tuple(standing.address for standing in opened.hsm.standings())
    timeout_s = 2 * chosen.peer_timeout_s
    if chosen.hsm is None:
        return HsmAccess(addresses, timeout_s)
    return HsmAccess(addresses, timeout_s, chosen.hsm_ca, chosen.hsm_certificate)
