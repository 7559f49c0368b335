"""The night's steps from presented to cleared, each `(engine, night) -> StepResult`, in this order."""

from clearing.booking import post
from clearing.intake import collect
from clearing.matching import match
from clearing.pricing import price
from clearing.verification import verify

__all__ = ["collect", "match", "post", "price", "verify"]
