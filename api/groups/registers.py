"""Groups of `onecard`: the city's registers, its tariffs, terminals and clients, and the books."""

from api.late_commands import Late, late_group

city = late_group(
    "The city's registers: who takes part, on which terms, with which devices; and its first business day.",
    {
        "account": Late(
            "api.account_commands:change_account",
            "Propose another bank account for a participant; a second person, who has asked there, "
            "approves it.",
        ),
        "proposals": Late(
            "api.account_commands:list_proposals",
            "List the changes of bank accounts that wait for a second person.",
        ),
        "approve": Late(
            "api.account_commands:approve",
            "Approve another person's proposal: payments instructed from now on go to the account.",
        ),
        "refuse": Late(
            "api.account_commands:refuse",
            "Turn another person's proposal down: the participant is paid where it was.",
        ),
        "withdraw": Late(
            "api.account_commands:withdraw",
            "Take your own proposal back while it waits: the participant is paid where it was.",
        ),
        "schedule": Late(
            "api.schedule_command:schedule",
            "Enter what insurance costs in a year, by bracket; the same again changes nothing.",
        ),
        "covers": Late(
            "api.covers_command:covers",
            "Enter who is insured how; a period that begins ends the one before it, the same list "
            "again changes nothing.",
        ),
        "apply": Late(
            "api.city_commands:apply",
            "Enter what the files say and is not known yet, all of it or nothing; the same again "
            "changes nothing.",
        ),
        "show": Late(
            "api.city_commands:show",
            "Show the registers, or one of them.",
        ),
        "schema": Late(
            "api.city_commands:schema",
            "Write the JSON schema of the city file.",
        ),
        "open": Late(
            "api.city_commands:open_books",
            "Open the first business day of all; every night opens the next one.",
        ),
        "retire": Late(
            "api.city_commands:retire",
            "End a device's time with its operator: a tap that it makes later is not paid.",
        ),
        "end": Late(
            "api.city_commands:end",
            "End the agreement of a participant, before `apply` enters other terms from the day after.",
        ),
    },
)

terminals = late_group(
    "Signed hotlists, tariffs and settings for terminals, and what has not come from them.",
    {
        "hotlist": Late(
            "api.terminal_commands:hotlist_command",
            "Publish the hotlist of the books, whole and as the change from the last; nothing where "
            "it is the same.",
        ),
        "publish": Late(
            "api.terminal_commands:publish_command",
            "Publish a tariff or settings, read as strictly as the terminals will read them.",
        ),
        "keys": Late(
            "api.terminal_commands:keys_command",
            "Print the public keys that terminals have to trust, by algorithm and version, as JSON.",
        ),
        "gaps": Late(
            "api.gap_commands:gaps",
            "List the numbers that terminals gave and nobody presented, as their operators are "
            "asked for them.",
        ),
        "silent": Late(
            "api.gap_commands:silent",
            "List the terminals that no tap has come from for days, and those whose counter began anew.",
        ),
        "explain": Late(
            "api.gap_commands:explain_numbers",
            "Ask no longer for numbers that no tap will come for, and keep who says so and why.",
        ),
    },
)

tariff = late_group(
    "Fare tariffs: check, explain, compare, import, what if, put in force.",
    {
        "import-matrix": Late(
            "api.tariff_imports:import_matrix",
            "Make a fare tariff from a metro's matrix of fares and the older tariff's rules.",
        ),
        "import-gtfs": Late(
            "api.tariff_imports:import_gtfs",
            "Make a fare tariff from a GTFS feed (Fares v2, or v1), and say what the feed asks that "
            "it cannot express.",
        ),
        "what-if": Late(
            "api.tariff_what_if:what_if_day",
            "Price a day's taps by another tariff: totals by operator and holder category, winners "
            "and losers.",
        ),
        "enact": Late(
            "api.tariff_enact:enact",
            "Have the nights price by a tariff from its first day on; validators get theirs by `onecard "
            "terminals publish`.",
        ),
        "check": Late(
            "api.tariff_commands:check",
            "Name every flaw of tariffs, and between them; the exit status is 1 where there is one "
            "(remarks are none).",
        ),
        "explain": Late(
            "api.tariff_commands:explain",
            "Say step by step why taps cost what they cost.",
        ),
        "diff": Late(
            "api.tariff_commands:diff",
            "Say what changes for riders from one tariff to another, field by field and by example journeys.",
        ),
        "schema": Late(
            "api.tariff_commands:write_schema",
            "Write the JSON schema of the tariff file.",
        ),
    },
)

products = late_group(
    "Fare products that cards have bought: what the city sells, taking sales in, taking them back.",
    {
        "list": Late(
            "api.product_commands:offered",
            "List what the city's fare tariffs let a card buy.",
        ),
        "take": Late(
            "api.product_commands:take",
            "Take in a seller's file of sales, whole or not at all; what was told before changes nothing.",
        ),
        "of": Late(
            "api.product_commands:of_card",
            "List what a card has bought, the newest first.",
        ),
        "withdraw": Late(
            "api.product_commands:withdraw",
            "Take a sale back: no night to come gives what it was for; rides that are settled stay "
            "as they are.",
        ),
    },
)

centres = late_group(
    "Other cities' clearing centres: who answers for whose cards, and what is exchanged with them.",
    {
        "list": Late(
            "api.centre_commands:list_centres",
            "List every centre ever registered, and the issuers that it answers for, with their periods.",
        ),
        "add": Late(
            "api.centre_commands:add",
            "Register a centre with the account that it is paid on, whole or not at all; the same "
            "again changes nothing.",
        ),
        "answers": Late(
            "api.centre_commands:answers",
            "Have a centre answer for the cards of an issuer from a day on.",
        ),
        "end": Late(
            "api.centre_commands:end",
            "End a centre, or its answers for one issuer; what was handed to it before it still answers.",
        ),
        "files": Late(
            "api.centre_commands:files",
            "List our files that centres do not have, and those of whose taps some are not answered.",
        ),
        "lines": Late(
            "api.centre_commands:lines",
            "List lines of result files that fit no tap: every night tries them again.",
        ),
        "settle": Late(
            "api.centre_commands:settle",
            "Call a line settled that fits no tap; what it is about stays as it is.",
        ),
    },
)

clients = late_group(
    "Programs of institutions that may call the API.",
    {
        "add": Late(
            "api.client_commands:add",
            "Let a program in, and print its secret, which is kept nowhere: hand it over and clear "
            "the screen.",
        ),
        "list": Late(
            "api.client_commands:list_clients",
            "List the programs that have been let in; secrets are not kept and cannot be shown.",
        ),
        "disable": Late(
            "api.client_commands:disable",
            "Shut a program out at once, with every token it holds; its id is never given to another.",
        ),
    },
)

ledger = late_group(
    "The books: balances, checks, proofs, archive, export.",
    {
        "trial-balance": Late(
            "api.ledger_commands:trial_balance",
            "Every account of the chart with its debits, credits and balance; the difference must be 0.00.",
        ),
        "account": Late(
            "api.ledger_commands:account",
            "One account: its balance now, on a date and at an instant, and its newest movements.",
        ),
        "check": Late(
            "api.ledger_checking:check",
            "Recompute every total from the lines; exit 1 and name each difference where there is one.",
        ),
        "export": Late(
            "api.ledger_checking:export",
            "Write the whole journal for hledger or Beancount.",
        ),
        "prove": Late(
            "api.ledger_evidence:prove_entry",
            "Prove to anyone that an entry is in the books: a file to be checked with the public key alone.",
        ),
        "verify-proof": Late(
            "api.ledger_evidence:verify_proof",
            "Check a proof with nothing but the public key: no database, no HSM.",
        ),
        "public-key": Late(
            "api.ledger_evidence:public_key",
            "The public key of the seals, Ed25519: 64 hex digits.",
        ),
        "verify": Late(
            "api.ledger_evidence:verify",
            "Recompute the whole books from their first day; exit 1 and name each row that is not "
            "as it was written.",
        ),
        "archive": Late(
            "api.ledger_keeping:archive_books",
            "Put a closed month's lines into a signed file; PostgreSQL then drops them from the books.",
        ),
        "import-opening": Late(
            "api.ledger_keeping:import_balances",
            "Book opening balances from a file: all of it as one entry, or nothing and every flaw named.",
        ),
    },
)
