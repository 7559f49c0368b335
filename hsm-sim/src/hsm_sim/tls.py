"""TLS for the HSM's clients: both sides show certificates, and only who has one of ours may ask anything."""

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path


class TlsError(Exception):
    """The certificates cannot be used as they are; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: our certificate and its key, and the authority that signs the certificates of clients."""

    certificate: Path
    key: Path
    client_authority: Path


def tls_files(certificate: Path | None, key: Path | None, client_authority: Path | None) -> TlsFiles | None:
    """The files where all three are given, None where none is. Raises TlsError for some of them."""
    if certificate is None and key is None and client_authority is None:
        return None
    if certificate is None or key is None or client_authority is None:
        raise TlsError("--tls-cert, --tls-key and --tls-client-ca go together; give all three or none")
    return TlsFiles(certificate, key, client_authority)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """What `serve` wraps its connections in: TLS 1.2 or newer, a client certificate required.

    Raises TlsError where a file cannot be used, or others can read the key.
    """
    try:
        mode = files.key.stat().st_mode
    except OSError as error:
        raise TlsError(
            f"{files.key} cannot be read: {error.strerror}; give the PEM file of the key"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise TlsError(
            f"{files.key} has mode {stat.S_IMODE(mode):04o}; others must not reach it: chmod it to 0600"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        # Without a password, a key that has one would ask for it on the terminal.
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"{files.certificate} and {files.key} are no certificate and its key ({error})"
        ) from error
    try:
        context.load_verify_locations(files.client_authority)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"{files.client_authority} holds no certificate of an authority ({error})") from error
    return context


def _no_password() -> str:
    raise ssl.SSLError("the key is under a password, which the HSM does not take; give it without")
