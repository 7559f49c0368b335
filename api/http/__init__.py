"""The HTTP API under /v1: institutions with OAuth 2 clients, holders with sessions, one form of problem."""
