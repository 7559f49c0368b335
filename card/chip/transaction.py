"""Commands that move money on the card: INITIALIZE, UPDATE CAPP DATA CACHE, DEBIT, CREDIT, and the proof.

What was begun ends with the DEBIT or CREDIT, right or wrong: a random number is good for one MAC only.
"""

from dataclasses import replace

from card.chip import keys as crypto
from card.chip.apdu import Apdu
from card.chip.keys import SUITES, Order
from card.chip.purse import credited, debited, judge_order, mac_refused
from card.chip.records import Kind
from card.chip.session import Chip, Outcome, Pending, Session, answered, refused
from card.chip.state import Update, judge_update, with_updates
from card.chip.status import StatusWord

KIND_OF_P1 = {0: Kind.LOAD, 1: Kind.PURCHASE, 3: Kind.CAPP_PURCHASE}


def initialize(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """INITIALIZE FOR LOAD, PURCHASE or CAPP PURCHASE; a transaction begun earlier is forgotten."""
    state, purse, data = session.state, session.state.purse, command.data
    order = Order(KIND_OF_P1[command.p1], int.from_bytes(data[1:5], "big"), data[5:11])
    word = judge_order(purse, order, key_index=data[0])
    if order.kind == Kind.LOAD and state.pin and not session.verified:
        word = StatusWord.SECURITY_NOT_SATISFIED
    if word != StatusWord.DONE:
        return refused(session.settled(state), word)
    pending = Pending(order, chip.random(4))
    balance, versions = purse.balance_fen.to_bytes(4, "big"), bytes((state.key_version, state.algorithm))
    if order.kind == Kind.LOAD:
        mac1 = crypto.load_mac1(
            SUITES[state.algorithm],
            _load_session(session, chip, pending),
            order,
            balance_fen=purse.balance_fen,
        )
        offer = balance + purse.load_sequence.to_bytes(2, "big") + versions + pending.rnd + mac1
    else:
        overdraft = purse.overdraft_limit_fen.to_bytes(3, "big")
        offer = balance + purse.purchase_sequence.to_bytes(2, "big") + overdraft + versions + pending.rnd
    return answered(session.begun(pending), offer)


def update_cache(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """UPDATE CAPP DATA CACHE: keep a record, to be written with the debit; the same again replaces it."""
    pending = _begun(session)
    update = Update(sfi=command.p2 >> 3, record_id=command.p1, record=command.data)
    word = judge_update(update)
    if word != StatusWord.DONE:
        return refused(session, word)
    others = tuple(kept for kept in pending.updates if kept.sfi != update.sfi)
    return answered(session.begun(Pending(pending.order, pending.rnd, (*others, update))))


def debit(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """DEBIT FOR (CAPP) PURCHASE: money, counter, log, proof and cached records in one step, or 9302."""
    state, pending, data = session.state, _begun(session), command.data
    suite, order = SUITES[state.algorithm], pending.order
    terminal_sequence, moment = int.from_bytes(data[:4], "big"), data[4:11]
    key = crypto.purchase_session(
        suite,
        chip.keys.purchase,
        rnd=pending.rnd,
        sequence=state.purse.purchase_sequence,
        terminal_sequence=terminal_sequence,
    )
    if not crypto.same_mac(crypto.purchase_mac1(suite, key, order, moment), data[11:15]):
        return _mac_wrong(session)
    mac2 = crypto.purchase_mac2(suite, key, order.amount_fen)
    tac = crypto.purchase_tac(suite, chip.keys, order, terminal_sequence=terminal_sequence, moment=moment)
    purse = debited(state.purse, order, moment=moment, mac2=mac2, tac=tac)
    after = with_updates(state, purse, pending.updates)
    return answered(session.settled(after), tac + mac2)


def credit(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """CREDIT FOR LOAD: money, counter, log and proof in one step, or 9302."""
    state, pending, data = session.state, _begun(session), command.data
    suite, order = SUITES[state.algorithm], pending.order
    moment, mac2 = data[:7], data[7:11]
    if not crypto.same_mac(
        crypto.load_mac2(suite, _load_session(session, chip, pending), order, moment), mac2
    ):
        return _mac_wrong(session)
    tac = crypto.load_tac(
        suite,
        chip.keys,
        order,
        new_balance_fen=state.purse.balance_fen + order.amount_fen,
        sequence=state.purse.load_sequence,
        moment=moment,
    )
    purse = credited(state.purse, order, moment=moment, mac2=mac2, tac=tac)
    return answered(session.settled(replace(state, purse=purse)), tac)


def prove(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """GET TRANSACTION PROVE: MAC2 and TAC of the last transaction, if it is the one meant; else 9406."""
    done = session.state.purse.done
    if done is None or (done.kind, done.sequence) != (command.p2, int.from_bytes(command.data, "big")):
        return refused(session, StatusWord.NO_PROOF)
    return answered(session, done.mac2 + done.tac)


def _begun(session: Session) -> Pending:
    assert session.pending is not None, "the state table lets this through only within a transaction"
    return session.pending


def _load_session(session: Session, chip: Chip, pending: Pending) -> bytes:
    state = session.state
    return crypto.load_session(
        SUITES[state.algorithm], chip.keys, rnd=pending.rnd, sequence=state.purse.load_sequence
    )


def _mac_wrong(session: Session) -> Outcome:
    state = session.state
    return refused(session.settled(replace(state, purse=mac_refused(state.purse))), StatusWord.MAC_WRONG)
