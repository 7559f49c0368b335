"""Where one city keeps everything: its database, files, simulated HSM and chips, under one folder."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

CITY_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Home:
    """The layout below `ONECARD_HOME`; two homes are two cities that share nothing."""

    root: Path

    @property
    def database_url(self) -> str:
        """The embedded database's URL."""
        return f"sqlite:///{self.root / 'onecard.db'}"

    @property
    def inbox(self) -> Path:
        """Where operators drop their batch files."""
        return self.root / "inbox"

    @property
    def bank_inbox(self) -> Path:
        """Where the bank's files are dropped, unless the settings name another folder."""
        return self.inbox / "bank"

    @property
    def archive(self) -> Path:
        """Every byte ever received, by its digest."""
        return self.root / "archive"

    @property
    def ledger_archive(self) -> Path:
        """The ledger's archived months, one file each."""
        return self.root / "ledger-archive"

    @property
    def nights(self) -> Path:
        """One folder a business date: work files and what the night hands out."""
        return self.root / "nights"

    @property
    def tariffs(self) -> Path:
        """The tariff files in force, now or once."""
        return self.root / "tariffs"

    @property
    def published(self) -> Path:
        """The signed files that terminals are to obey."""
        return self.root / "published"

    @property
    def hsm(self) -> Path:
        """State of the simulated HSM."""
        return self.root / "hsm"

    @property
    def world(self) -> Path:
        """The simulated world's own things: chips, depots, what has been replayed."""
        return self.root / "city"

    def night(self, business_date: date) -> Path:
        """The folder of one night."""
        return self.nights / business_date.isoformat()
