"""Groups of `onecard`: what is done with nights, and with what they leave for people and the bank."""

from typing import Any

from api.late_commands import Late, LateGroup, late_group


class NightGroup(LateGroup):
    """`onecard night 2026-03-02` runs that night, as it always did."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take what begins with a digit for a business date."""
        return super().resolve_command(ctx, ["run", *args] if args[0][:1].isdigit() else args)


night = late_group(
    "A business day's night: DATE runs it; or look at it first.",
    {
        "run": Late(
            "api.night_commands:run",
            "Run the night of a business day from the first step not done yet; a finished night "
            "changes nothing.",
        ),
        "plan": Late(
            "api.night_commands:plan",
            "Say what the night has before it: files by their headers, taps, expected minutes, "
            "space; nothing is written.",
        ),
        "status": Late(
            "api.night_status:status",
            "Show a night: what it is at while it runs, its steps with counts and digests, what "
            "each operator gets.",
        ),
        "exceptions": Late(
            "api.night_commands:exceptions",
            "List what the night did not simply accept, and what of the work queue it raised.",
        ),
        "dry-run": Late(
            "api.night_trials:dry_run_night",
            "Say what the night would come to: verdicts, prices, positions. Nothing is booked, "
            "moved or acknowledged.",
        ),
        "replace-batch": Late(
            "api.night_trials:replace_one",
            "Replace a batch that a stopped night has collected and not booked; the night collects it anew "
            "when it goes on.",
        ),
        "retry": Late(
            "api.night_trials:retry",
            "Judge a booked batch's taps in suspense now, between two nights, and book what is "
            "accepted on the open day.",
        ),
    },
    NightGroup,
)

queue = late_group(
    "The work queue: what people must look at after the nights.",
    {
        "list": Late(
            "api.queue_commands:list_items",
            "List items, the earliest deadline first, with how late they are.",
        ),
        "show": Late(
            "api.queue_commands:show",
            "Show one item with everything that happened to it.",
        ),
        "take": Late(
            "api.queue_commands:take",
            "Take an item: it is yours until it is done or given back.",
        ),
        "done": Late(
            "api.queue_commands:done",
            "Say that an item is dealt with, and how; a night that still finds it after its "
            "deadline raises it again.",
        ),
        "back": Late(
            "api.queue_commands:back",
            "Give an item back to all, also one that was called done and is not.",
        ),
    },
)

suspense = late_group(
    "Taps in suspense: listed with their age, and paid or rejected by two people.",
    {
        "list": Late(
            "api.suspense_commands:list_suspended",
            "List what is in suspense, the oldest first, by operator, verdict and day, or tap by tap, "
            "with what is proposed.",
        ),
        "propose": Late(
            "api.suspense_commands:propose_decision",
            "Propose to pay or reject one tap (--tap), or all of an operator's --verdict and "
            "--presented day.",
        ),
        "proposals": Late(
            "api.suspense_commands:list_proposals",
            "List the proposals that wait for a second person.",
        ),
        "show": Late(
            "api.suspense_commands:show",
            "Show one proposal: who, when and why, and what was said to it.",
        ),
        "approve": Late(
            "api.suspense_commands:approve",
            "Approve another person's proposal: it is carried out at once, on the open day, between "
            "two nights.",
        ),
        "refuse": Late(
            "api.suspense_commands:refuse",
            "Turn another person's proposal down: its taps stay in suspense, and may be proposed again.",
        ),
        "withdraw": Late(
            "api.suspense_commands:withdraw",
            "Take your own proposal back while it waits: its taps stay in suspense, and may be "
            "proposed again.",
        ),
    },
)

bank = late_group(
    "The bank's answers: its files taken, open points listed with their age and resolved by two people.",
    {
        "list": Late(
            "api.bank_commands:list_points",
            "List what is open with the bank, the oldest first: what did not arrive, what nothing "
            "explains, files.",
        ),
        "show": Late(
            "api.bank_commands:show",
            "Show all that is known of a payment, a line (S3:5), a statement (S3) or a file (F7), "
            "and what to do.",
        ),
        "statements": Late(
            "api.bank_commands:list_statements",
            "List the statements in the books with their numbers and balances.",
        ),
        "pay-again": Late(
            "api.bank_commands:pay_again",
            "Propose to pay again what was rejected, came back or arrived short; another person approves it.",
        ),
        "resolve": Late(
            "api.bank_commands:resolve",
            "Propose what is to become of an open point; another person approves it.",
        ),
        "proposals": Late(
            "api.bank_commands:list_proposals",
            "List the proposals that wait for a second person.",
        ),
        "approve": Late(
            "api.bank_commands:approve",
            "Approve another person's proposal: it is carried out at once, on the open day.",
        ),
        "refuse": Late(
            "api.bank_commands:refuse",
            "Turn another person's proposal down: its point stays open.",
        ),
        "withdraw": Late(
            "api.bank_commands:withdraw",
            "Take your own proposal back while it waits: its point stays open.",
        ),
        "read": Late(
            "api.bank_file_commands:read_files",
            "Take files of the bank's, status reports (pain.002) and statements (camt.053), and say "
            "what each did.",
        ),
        "take": Late(
            "api.bank_file_commands:take_folder",
            "Take what lies finished in the bank's folder (ONECARD_BANK_FOLDER), and move it aside.",
        ),
        "files": Late(
            "api.bank_file_commands:list_files",
            "List the bank's files that were refused, and what lies in its folder; of each, what to do.",
        ),
        "retry": Late(
            "api.bank_file_commands:retry_files",
            "Take refused files again out of the archive, when what they stumbled over is put right.",
        ),
        "reserve": Late(
            "api.reserve_command:reserve",
            "The reserve-funds report: what customers and participants are owed against the "
            "custodian's balance.",
        ),
    },
)
