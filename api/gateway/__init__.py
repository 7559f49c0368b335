"""The ISO 8583 gateway: counters and their terminals over TCP."""
