"""A file of the bank's: which message it is, and what it says, or why it cannot be taken."""

from settlement.bank.statement_file import Statement, read_statements
from settlement.bank.status_report import StatusReport, read_status_report
from settlement.bank.xml_reading import FileFlaw, Unfit, Unreadable, read_message, shown


def read_bank_file(data: bytes) -> StatusReport | tuple[Statement, ...] | Unreadable:
    """A status report (pain.002), at least one statement (camt.053), or why these bytes are neither; never raises."""
    try:
        message, root = read_message(data)
        if message == "pain.002":
            return read_status_report(root)
        if message == "camt.053":
            return read_statements(root)
    except Unfit as unfit:
        return unfit.found
    remedy = "give a status report (pain.002) or a statement (camt.053)"
    return Unreadable(FileFlaw.MESSAGE_UNKNOWN, "the message", shown(message), remedy)
