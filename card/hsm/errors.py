"""What can go wrong with the HSM, as one error that says with which command and what to do."""

REMEDIES = {
    "01": "a MAC, TAC or signature is not right",
    "12": "no key of that usage and version: see `hsm-sim status`, and the version asked for",
    "13": "the HSM was tampered with and holds no keys any more: take it out of service",
    "15": "a field holds a value that it cannot hold: check what was passed",
    "17": "two operators must authorise it first: `hsm-sim authorise`",
    "26": "the HSM does not support the algorithm: the card belongs to another suite",
    "68": "the command is unknown to the HSM or disabled: check its version and its licence",
    "80": "the fields are too short or too long: client and HSM speak different versions of the format",
    "A9": "the key version asked for is an old one, which only verifies: ask for the newest",
    "unreachable": "see that the HSM runs and that host and port are right",
    "lost": "it may have been done, and must not be done twice: find out before you ask again",
    "garbled": "the answer does not fit the request: is it an HSM that listens there?",
}


class HsmError(Exception):
    """The HSM did not do it. `code` is its error code, or `unreachable`, `lost` or `garbled`."""

    def __init__(self, command: str, code: str, detail: str = "") -> None:
        remedy = REMEDIES.get(code, "an error code that the format does not know: check the HSM's version")
        super().__init__(f"HSM command {command}: error {code}{f' ({detail})' if detail else ''}: {remedy}")
        self.command, self.code, self.detail = command, code, detail
