"""Groups of `onecard`: what is done with cards, at counters and from them."""

from typing import Any

from api.late_commands import Late, LateGroup, late_group

cards = late_group(
    "Cards: stock, issue, loss, blocking, replacement, return; every move with who, when and why.",
    {
        "receive": Late(
            "api.card_commands:receive",
            "Take a batch of blanks into stock; the same batch again changes nothing.",
        ),
        "stock": Late(
            "api.card_commands:stock",
            "Show how many cards lie where, blank and personalised.",
        ),
        "ship": Late(
            "api.card_commands:ship",
            "Send cards from a place to another, the lowest numbers first.",
        ),
        "personalise": Late(
            "api.card_personalising:personalise",
            "Write number, keys and an empty purse onto blanks; the keys come wrapped from the HSM.",
        ),
        "spoil": Late(
            "api.card_commands:spoil",
            "Write off a blank or personalised card that is of no use.",
        ),
        "issue": Late(
            "api.card_commands:issue",
            "Hand a personalised card out against its deposit, and put it into use.",
        ),
        "activate": Late(
            "api.card_commands:activate",
            "Put an issued card into use, tied to a holder where one is named.",
        ),
        "block": Late(
            "api.card_commands:block",
            "Stop a card: on the hotlist now, on every device by the deadline.",
        ),
        "unblock": Late(
            "api.card_commands:unblock",
            "Let a blocked card be used again.",
        ),
        "lose": Late(
            "api.card_commands:lose",
            "Report a loss: every card, the wallet and the links of the holder are locked.",
        ),
        "find": Late(
            "api.card_commands:find",
            "Lift a reported loss; what is still lost stays on the hotlist for good, to be replaced.",
        ),
        "hotlist": Late(
            "api.card_commands:show_hotlist",
            "List the stopped cards: since when, and by when every device must have the list that names them.",
        ),
        "life": Late(
            "api.card_commands:life",
            "Show where a card stands, and everything that happened to it: who, when, why.",
        ),
        "replace": Late(
            "api.card_ends_commands:replace",
            "Put an issued card in an old one's place; deposit and holder go over now, the balance when it is certain.",
        ),
        "move-balance": Late(
            "api.card_ends_commands:move",
            "Move replaced cards' balances to the new cards' waiting loads; any counter writes them on.",
        ),
        "replacements": Late(
            "api.card_ends_commands:show_replacements",
            "List replacements whose balance has not moved yet, and when it can.",
        ),
        "left-behind": Late(
            "api.card_ends_commands:show_left_behind",
            "List what earlier returns left in suspense of replaced cards' balances: whose it is, what can be done.",
        ),
        "move-again": Late(
            "api.card_ends_commands:order_again",
            "Let what was left in suspense wait for the card again; any counter writes it on, or pays it out.",
        ),
        "hand-in": Late(
            "api.card_ends_commands:take_back",
            "Take a card back for good: the deposit is paid now, the balance by `refund` when it is certain.",
        ),
        "refund": Late(
            "api.card_ends_commands:pay_out",
            "Pay what a card that was handed in holds, once no tap of it can come any more, and close it.",
        ),
    },
)


class CardGroup(LateGroup):
    """`onecard card 0310…` shows that card, as it always did."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take what begins with a digit for a card's number."""
        return super().resolve_command(ctx, ["show", *args] if args[0][:1].isdigit() else args)


card = late_group(
    "One card: its taps by its number, or the chip on a reader.",
    {
        "readers": Late(
            "api.chip_commands:readers",
            "List the slots of all PC/SC readers.",
        ),
        "read": Late(
            "api.chip_commands:read",
            "Read the card on a reader: number, issuer, validity, balance, last loads, purchases and trips.",
        ),
        "init": Late(
            "api.chip_commands:init",
            "Personalise the blank chip on a reader, with keys that the HSM wrapped for it.",
        ),
        "sam": Late(
            "api.chip_commands:load_sam",
            "Load a blank SAM by ceremony: each custodian enters a component, and no one sees the key.",
        ),
        "virtual": Late(
            "api.chip_commands:virtual",
            "Put a virtual card, and a SAM, into a real reader until Ctrl-C: pcscd of our own, for any PC/SC program.",
        ),
        "show": Late(
            "api.card_statement:show_card",
            "Show one card: what is cleared, what is pending, its newest taps with their verdicts.",
        ),
    },
    CardGroup,
)

pos = late_group(
    "Counters: the ISO 8583 gateway, and a terminal that speaks to it.",
    {
        "gateway": Late(
            "api.pos_commands:gateway",
            "Serve counters until SIGTERM or Ctrl-C; what is in hand is answered first.",
        ),
        "enrol": Late(
            "api.pos_commands:enrol",
            "Let a terminal in at the gateway and put its master key into it; again, it changes nothing.",
        ),
        "sign-on": Late(
            "api.pos_commands:sign_on",
            "Get a new working key from the gateway.",
        ),
        "purchase": Late(
            "api.pos_commands:purchase",
            "Take an amount from the wallet behind a card.",
        ),
        "stand-in": Late(
            "api.pos_commands:stand_in",
            "Take a purchase at the merchant's own risk; the gateway is told now or later.",
        ),
        "balance": Late(
            "api.pos_commands:balance",
            "Ask what is in the wallet behind a card.",
        ),
        "refund": Late(
            "api.pos_commands:refund",
            "Give back all or part of a purchase of this terminal.",
        ),
        "deliver": Late(
            "api.pos_commands:deliver",
            "Send the reversals and advices that wait in the terminal.",
        ),
        "journal": Late(
            "api.pos_commands:journal",
            "List the terminal's tickets.",
        ),
    },
)
