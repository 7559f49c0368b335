"""Whatever a family pays, takes back, cancels and has refunded, in whatever order: every fen is where it belongs.

Real doors of every sector on either kind of database; beside them a dictionary of what each act has moved.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from city.insurer import Mode
from clearing.online.load import LoadBooked
from clearing.online.payment import Channel, Leg
from clearing.online.refund import Refund, Refunded, refund
from clearing.online.reversal import Reversal, Reversed, reverse
from clearing.online.topup import TopUp, TopUpAccepted, confirm_topup, order_topup
from clearing.online.wallet_load import LoadReturn, WalletLoad, order_wallet_loads, return_loads
from clearing.sectors.healthcare.bills import Agreed, Bill
from clearing.sectors.healthcare.policy import CatalogueClass, Item, Split
from clearing.sectors.socialsecurity.contributions import Contribution, cancel_contribution, pay_bill
from clearing.sectors.utilities import bills as utilities
from clearing.sectors.utilities.reversal import reverse_bill
from clearing.sectors.utilities.sending import send_notices
from ledger.checks import check_books
from ledger.db import reading, writing
from tests.clearing.social_books import AGENCY, DAY
from tests.support.depth import examples
from tests.support.insurer_peer import InsurerPeer, insurer_peer
from tests.support.sector_city import (
    CHANNEL,
    FUND,
    HOSPITAL,
    SHOP,
    Family,
    Moves,
    SectorCity,
    purchased,
    sector_city,
)
from tests.support.utility_day import GAS, LATER, Spoil

MODES = (Mode.ANSWERS, Mode.ANSWERS, Mode.REFUSES, Mode.PAYS_LESS, Mode.DUPLICATES, Mode.GARBLES)


@dataclass(frozen=True)
class Act:
    """What somebody does: a verb, which thing it is about, who does it, how much, and what goes wrong."""

    verb: str
    number: int
    who: int
    amounts_fen: tuple[int, ...]
    mode: Mode = Mode.ANSWERS
    spoil: Spoil | None = None


PAYING = ("buy", "top up", "load", "visit", "pay gas", "contribute")
UNDOING = ("reverse", "refund", "return load", "cancel visit", "take gas back", "give back", "ask", "notify")
VERBS = (*PAYING, *PAYING, *UNDOING)
acts = st.builds(
    Act, st.sampled_from(VERBS), st.integers(0, 1), st.integers(0, 1),
    st.tuples(*[st.one_of(st.integers(0, 40), st.integers(0, 45_000))] * 3), st.sampled_from(MODES),
    st.sampled_from([None, None, *Spoil]),
)  # fmt: skip


@dataclass
class Life:
    """A family's day as it is lived, with what stands of it by dictionary."""

    city: SectorCity
    family: Family
    bought: dict[str, dict[str, int]] = field(default_factory=dict)
    topped_up: dict[str, tuple[str, int]] = field(default_factory=dict)
    loaded: dict[str, tuple[str, int]] = field(default_factory=dict)
    refunds: int = 0

    def named(self, what: str, number: int) -> str:
        return f"{what}:{self.family.name}:{number}"

    def visit_reference(self, number: int) -> str:
        return self.visit(number, 0, (1,)).reference

    def visit(self, number: int, who: int, amounts_fen: tuple[int, ...]) -> Bill:
        kinds = (CatalogueClass.A, CatalogueClass.B, CatalogueClass.C)
        items = tuple(
            Item(f"X{place}", kind, fen, 1_000 if kind is CatalogueClass.B else 0)
            for place, (kind, fen) in enumerate(zip(kinds, amounts_fen, strict=False))
            if fen
        )
        bill_no = f"{self.city.prefix}-{self.family.name}-{number}"
        return Bill(HOSPITAL, bill_no, self.family.holders[who], DAY, items)

    def expected_fen(self) -> dict[str, int]:
        """What every account should have moved, from what stands of each act."""
        moves = Moves()
        for legs in self.bought.values():
            moves.pay(legs, SHOP)
        for holder, amount_fen in self.topped_up.values():
            moves.add(f"agent:{CHANNEL}", amount_fen)
            moves.add(f"wallet:{holder}", amount_fen)
        for holder, amount_fen in self.loaded.values():
            moves.add(f"wallet:{holder}", -amount_fen)
            moves.add(f"load:{self.family.card}", amount_fen)
        for number in (0, 1):
            moves.pay(self.city.paid_legs_fen(self.visit_reference(number)), HOSPITAL)
            for holder in self.family.holders:
                reference = self.named(f"gas-{holder}", number)
                moves.pay({f"wallet:{holder}": self.city.utility_fen(reference)}, GAS.id)
            if (paid := self.city.contributed_by(self.contribution(number))) is not None:
                moves.pay({f"wallet:{paid[0]}": paid[1]}, AGENCY)
        return moves.standing()

    def contribution(self, number: int) -> str:
        return f"C{self.family.name}-{number + 1}"

    def do(self, act: Act) -> None:
        """Do it at the door that it belongs to, whatever the answer; note what the door has taken or given back."""
        self.city.pass_(timedelta(seconds=1))
        getattr(self, "_" + act.verb.replace(" ", "_"))(act)

    def _buy(self, act: Act) -> None:
        holder = self.family.holders[act.who]
        accounts = (f"wallet:{holder}", f"medical:{holder}", FUND)
        legs = {code: fen for code, fen in zip(accounts, act.amounts_fen, strict=True) if fen}
        reference = self.named("buy", act.number)
        if purchased(self.city, reference, holder, tuple(Leg(code, fen) for code, fen in legs.items())):
            self.bought[reference] = legs

    def _reverse(self, act: Act) -> None:
        original = self.named("buy", act.number)
        wanted = Reversal(f"{original}:undo", original, DAY, self.city.now)
        with writing(self.city.engine) as conn:
            (answer,) = reverse(conn, [wanted], at=self.city.now)
        if isinstance(answer, Reversed):
            self.bought.pop(original, None)

    def _refund(self, act: Act) -> None:
        self.refund(self.named("buy", act.number), act.amounts_fen[0])

    def refund(self, original: str, amount_fen: int) -> bool:
        self.refunds += 1
        wanted = Refund(f"{original}:back:{self.refunds}", original, amount_fen, DAY, self.city.now)
        with writing(self.city.engine) as conn:
            (answer,) = refund(conn, [wanted], at=self.city.now)
        if not isinstance(answer, Refunded):
            return False
        for code in reversed(self.bought[original]):  # the last leg gets its money first
            back_fen = min(amount_fen, self.bought[original][code])
            self.bought[original][code] -= back_fen
            amount_fen -= back_fen
        assert amount_fen == 0, "more was given back than had been paid"
        return True

    def _top_up(self, act: Act) -> None:
        reference, holder = self.named("topup", act.number), self.family.holders[act.who]
        amount_fen = act.amounts_fen[0]
        with writing(self.city.engine) as conn:
            order_topup(conn, TopUp(reference, holder, CHANNEL, amount_fen, self.city.now), at=self.city.now)
            answer = confirm_topup(
                conn, reference, channel_id=CHANNEL, channel_reference=f"{reference}:paid",
                amount_fen=amount_fen, business_date=DAY, event_at=self.city.now, at=self.city.now,
            )  # fmt: skip
        if isinstance(answer, TopUpAccepted) and answer.first_time:
            self.topped_up[reference] = (holder, amount_fen)

    def _load(self, act: Act) -> None:
        reference, holder = self.named("load", act.number), self.family.holders[act.who]
        wanted = WalletLoad(reference, holder, self.family.card, act.amounts_fen[0], DAY, self.city.now)
        with writing(self.city.engine) as conn:
            (answer,) = order_wallet_loads(conn, [wanted], at=self.city.now)
        if isinstance(answer, LoadBooked) and answer.first_time:
            self.loaded[reference] = (holder, act.amounts_fen[0])

    def _return_load(self, act: Act) -> None:
        reference = self.named("load", act.number)
        with writing(self.city.engine) as conn:
            (answer,) = return_loads(conn, [LoadReturn(reference, DAY, self.city.now)], at=self.city.now)
        if isinstance(answer, LoadBooked):
            self.loaded.pop(reference, None)

    def _visit(self, act: Act) -> None:
        bill = self.visit(act.number, act.who, act.amounts_fen)
        self.city.insurer.behave(act.mode)
        split = self.city.desk.preview(bill, at=self.city.now)
        if isinstance(split, Split):
            self.city.desk.settle(bill, Agreed.of(split), at=self.city.now)

    def _cancel_visit(self, act: Act) -> None:
        self.city.insurer.behave(act.mode)
        self.city.desk.cancel(self.visit_reference(act.number), why="not treated", at=self.city.now)

    def _ask(self, act: Act) -> None:
        self.city.insurer.behave(act.mode)
        self.city.desk.ask_all(at=self.city.now)

    def _pay_gas(self, act: Act) -> None:
        holder = self.family.holders[act.who]
        order = utilities.BillOrder(
            self.named(f"gas-{holder}", act.number), GAS.id, f"A{self.family.name}",
            f"G{self.family.name}-{act.number}", act.amounts_fen[0] % 3_500, holder, Channel.APP, self.city.now,
        )  # fmt: skip
        utilities.pay_bill(self.city.engine, self.city.clients, order, at=self.city.now)

    def _take_gas_back(self, act: Act) -> None:
        holder = self.family.holders[act.who]
        with writing(self.city.engine) as conn:
            reverse_bill(conn, self.named(f"gas-{holder}", act.number), holder=holder, at=self.city.now)

    def _notify(self, act: Act) -> None:
        if act.spoil is not None:
            self.city.biller.spoils.append(act.spoil)
        send_notices(self.city.engine, self.city.clients, self.city.pass_(LATER))
        self.city.biller.spoils.clear()

    def _contribute(self, act: Act) -> None:
        order = Contribution(
            AGENCY, self.contribution(act.number), self.family.holders[act.who], "standard", Channel.APP, DAY,
            self.city.now,
        )  # fmt: skip
        with writing(self.city.engine) as conn:
            pay_bill(conn, order, at=self.city.now)

    def _give_back(self, act: Act) -> None:
        with writing(self.city.engine) as conn:
            cancel_contribution(
                conn, agency=AGENCY, number=self.contribution(act.number), business_date=DAY,
                event_at=self.city.now, why="moved away", at=self.city.now,
            )  # fmt: skip

    def take_everything_back(self) -> None:
        """Undo whatever stands, each at its own door; what was refunded in part gets the rest."""
        for original, legs in list(self.bought.items()):
            self._reverse(Act("reverse", int(original[-1]), 0, ()))
            if original in self.bought and (rest_fen := sum(legs.values())):
                assert self.refund(original, rest_fen)
        for number in (0, 1):
            for verb in ("cancel visit", "return load", "give back"):
                self.do(Act(verb, number, 0, ()))
            for who in (0, 1):
                self.do(Act("take gas back", number, who, ()))
        self.do(Act("ask", 0, 0, ()))
        for _ in range(3):  # a write-off that waits, then its reversal
            self.do(Act("notify", 0, 0, ()))


@pytest.fixture(scope="module")
def insurer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsurerPeer]:
    with insurer_peer(tmp_path_factory.mktemp("insurer")) as running:
        yield running


@pytest.fixture
def city(engine: Engine, insurer: InsurerPeer, tmp_path: Path) -> SectorCity:
    return sector_city(engine, insurer, tmp_path / "gas")


def agree(life: Life) -> None:
    """The whole city's books say what the dictionary says, and hold together."""
    assert life.city.moved_fen(life.family) == life.expected_fen()
    with reading(life.city.engine) as conn:
        assert check_books(conn) == []


def test_any_mix_conserves_every_pocket_and_taking_all_back_restores_it(city: SectorCity) -> None:
    @examples(8)
    @given(st.lists(acts, min_size=8, max_size=25))
    def one_day(day: list[Act]) -> None:
        life = Life(city, city.family())
        for act in day:
            life.do(act)
            assert city.moved_fen(life.family) == life.expected_fen(), act
        agree(life)
        life.take_everything_back()
        agree(life)
        moves = Moves()
        for holder, amount_fen in life.topped_up.values():
            moves.add(f"agent:{CHANNEL}", amount_fen)
            moves.add(f"wallet:{holder}", amount_fen)
        assert city.moved_fen(life.family) == moves.standing()

    one_day()


def test_each_sectors_payment_moves_money_and_its_own_undoing_restores_it(city: SectorCity) -> None:
    """One of each, so that the property above cannot be about nothing."""
    life = Life(city, city.family())
    plenty = (9_000, 8_000, 700)
    pairs = {"buy": "reverse", "load": "return load", "visit": "cancel visit", "contribute": "give back"}
    for verb, undoing in pairs.items():
        life.do(Act(verb, 0, 0, plenty))
        moved = city.moved_fen(life.family)
        assert len(moved) >= 2, verb
        agree(life)
        life.do(Act(undoing, 0, 0, plenty))
        assert city.moved_fen(life.family) == {}, verb
    life.do(Act("pay gas", 0, 0, plenty))
    assert city.moved_fen(life.family) != {}
    for verb in ("notify", "take gas back", "notify"):
        life.do(Act(verb, 0, 0, plenty))
        agree(life)
    assert city.moved_fen(life.family) == {}
    life.do(Act("reverse", 1, 0, plenty))
    life.do(Act("buy", 1, 0, plenty))
    assert city.moved_fen(life.family) == {}, "a payment reversed before it came is never paid"
    life.do(Act("top up", 0, 0, plenty))
    agree(life)
    wallet = f"wallet:{life.family.holders[0]}"
    assert city.moved_fen(life.family) == {f"agent:{CHANNEL}": 9_000, wallet: 9_000}
