"""A city on paper: its operators, their bank accounts and agreements, and its tariff, as a JSON file."""

import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TARIFFS = HERE.parent / "clearing" / "sectors" / "transit" / "tariffs"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: who it is, where it is paid, and what it agreed to (`fee_bp`: basis points of the gross)."""

    id: str
    name: str
    account_no: str
    bank_code: str
    bank_name: str
    fee_bp: int
    cycle: str


@dataclass(frozen=True, slots=True)
class CityPlan:
    """Who is paid in a city (operators, other merchants), who runs the scheme, and the text of the tariff file."""

    city: str
    scheme: Operator
    operators: tuple[Operator, ...]
    merchants: tuple[Operator, ...]
    tariff_text: str

    @property
    def participants(self) -> tuple[Operator, ...]:
        """Everyone that is paid."""
        return (*self.operators, *self.merchants)


def read_plan(name: str) -> CityPlan:
    """Read one of the plans that stand beside this module: `demo` or `shenzhen`."""
    document = json.loads((HERE / f"{name}.json").read_text())
    return CityPlan(
        city=document["city"],
        scheme=Operator(**document["scheme"]),
        operators=tuple(Operator(**operator) for operator in document["operators"]),
        merchants=tuple(Operator(**merchant) for merchant in document.get("merchants", ())),
        tariff_text=(TARIFFS / f"{document['tariff']}.json").read_text(),
    )
