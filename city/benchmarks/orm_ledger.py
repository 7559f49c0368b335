"""The obvious ledger to compare with: SQLAlchemy's ORM, an object a row, rows locked in order, a commit an entry."""

import time

import numpy as np
from sqlalchemy import BigInteger, Engine, ForeignKey, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The peer's own tables, apart from ours."""


class OrmAccount(Base):
    """An account with its running totals."""

    __tablename__ = "orm_account"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    debits_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    credits_fen: Mapped[int] = mapped_column(BigInteger, default=0)


class OrmEntry(Base):
    """An entry under a unique reference."""

    __tablename__ = "orm_entry"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    reference: Mapped[str] = mapped_column(String, unique=True)


class OrmLine(Base):
    """A transfer of an entry."""

    __tablename__ = "orm_line"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("orm_entry.id"))
    debit_id: Mapped[int] = mapped_column(ForeignKey("orm_account.id"), index=True)
    credit_id: Mapped[int] = mapped_column(ForeignKey("orm_account.id"), index=True)
    amount_fen: Mapped[int] = mapped_column(BigInteger)


ACCOUNTS = 1_000


def entries_a_second(engine: Engine, entries: int) -> float:
    """How many entries of one transfer this ledger books in a second, between random accounts, in books of its own."""
    open_orm_books(engine, ACCOUNTS)
    random = np.random.default_rng(41)
    pairs = [random.choice(ACCOUNTS, 2, replace=False) + 1 for _ in range(entries)]
    began = time.perf_counter()
    for number, (debit_id, credit_id) in enumerate(pairs):
        post_one(engine, f"orm:{number}", int(debit_id), int(credit_id), 100)
    return entries / (time.perf_counter() - began)


def open_orm_books(engine: Engine, accounts: int) -> None:
    """Make the peer's tables and its accounts, numbered from 1."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(OrmAccount(id=number) for number in range(1, accounts + 1))
        session.commit()


def post_one(engine: Engine, reference: str, debit_id: int, credit_id: int, amount_fen: int) -> None:
    """Book one transfer as people write it: look for the reference, lock both accounts, add, commit."""
    with Session(engine) as session, session.begin():
        if session.scalar(select(OrmEntry).where(OrmEntry.reference == reference)) is not None:
            return
        both = {
            number: session.get_one(OrmAccount, number, with_for_update=True)
            for number in sorted((debit_id, credit_id))
        }
        both[debit_id].debits_fen += amount_fen
        both[credit_id].credits_fen += amount_fen
        entry = OrmEntry(reference=reference)
        session.add(entry)
        session.flush()
        session.add(OrmLine(entry_id=entry.id, debit_id=debit_id, credit_id=credit_id, amount_fen=amount_fen))
