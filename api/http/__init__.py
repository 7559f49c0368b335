"""The HTTP API under /v1: institutions and holders."""
