"""What a token may be good for, and what is kept of it."""

import hashlib
from typing import Final

SCOPES: Final = {
    "holders:read": "read holders, masked, and their cards",
    "holders:write": "enrol holders, report and lift losses",
    "cards:write": "tie cards to holders, report and lift losses of cards",
    "counter:write": "load cards and serve them at one's own counters",
    "topups:write": "order and confirm top-ups of one's own channel",
    "payments:write": "take, reverse and refund one's own payments",
    "payments:read": "read one's own payments",
    "links:read": "read the links granted to oneself",
    "links:write": "enter and withdraw links that a holder has consented to",
    "hospital:write": "preview, settle and cancel one's own bills",
    "billers:write": "query and pay utility bills",
    "batches:write": "send one's own batch files, see what became of them",
    "agency:write": "bring contributions and benefit batches",
    "agency:approve": "approve or reject what another has brought",
    "qr:write": "charge pay codes, make merchant codes",
    "finance:read": "see the nights of settlement on the finance page",
    "metrics:read": "see the figures of what waits, at /metrics",
}
"""What a client may be allowed, and what the OpenAPI document says of it."""


def hashed(secret_token: str) -> bytes:
    """What is stored of a token: 32 bytes; a token has 256 random bits, so a plain hash gives nothing away."""
    return hashlib.sha256(secret_token.encode()).digest()
