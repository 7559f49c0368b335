"""What the environment says about where and how the city runs."""

from datetime import time
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from card.hsm.addresses import Address, parse_addresses
from city.home import Home


def is_address(text: str) -> bool:
    """Whether a text is the address of a web service."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class Settings(BaseSettings):
    """Read from `ONECARD_…` variables; every one has a default that works on a fresh machine."""

    model_config = SettingsConfigDict(env_prefix="ONECARD_", extra="ignore")

    home: Path = Field(default=Path("var"), description="everything the program keeps")
    database: str | None = Field(default=None, description="database URL; default: SQLite under the home")
    hsm: str | None = Field(
        default=None,
        description="host:port of the HSM, or of several with the same keys, with commas in between; "
        "default: hsm-sim as a process",
    )
    hsm_ca: Path | None = Field(
        default=None, description="PEM file of who certifies the HSMs; default: no TLS to them"
    )
    hsm_certificate: Path | None = Field(
        default=None, description="PEM file of our certificate to them and its key"
    )
    bank_folder: Path | None = Field(
        default=None, description="where the bank's files are dropped; default: inbox/bank under the home"
    )
    insurer: str | None = Field(
        default=None, description="address of the insurer; default: hospital bills wait"
    )
    billers: dict[str, str] = Field(default={}, description='billers by id, as JSON: {"GAS-1": "http://…"}')
    centres: dict[str, str] = Field(
        default={}, description='other cities\' centres by code, as JSON: {"KUNMING": "http://…"}'
    )
    office_client: str | None = Field(
        default=None, description="the client that a counter is let in as by an office elsewhere"
    )
    office_secret: SecretStr | None = Field(default=None, description="that client's secret")
    office_ca: Path | None = Field(
        default=None, description="PEM file of who certifies the office; default: the usual authorities"
    )
    peer_timeout_s: float = Field(
        default=5.0, gt=0, le=60, description="how long institutions may take; the HSM twice that"
    )
    cut_off: time = Field(
        default=time(0, 30),
        description="when a business day's night is run, in city time; before noon: on the calendar day after it",
    )
    night_memory_mib: int = Field(
        default=1024,
        ge=256,
        description="what the night's rules may hold in memory; beyond it they spill to disk",
    )
    night_spread_rows: int = Field(
        default=4_000_000,
        ge=0,
        description="rows in files from which on rules run on the Spark cluster that is named; over fewer in process",
    )
    production: bool = Field(default=False, description="refuse demo keys and simulators")

    @field_validator("hsm")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            parse_addresses(value)
        return value

    @field_validator("cut_off")
    @classmethod
    def _in_city_time(cls, value: time) -> time:
        if value.tzinfo is not None or value.microsecond:
            raise ValueError(
                f"{value.isoformat()} is no time of the city's clocks; give HH:MM, such as 00:30"
            )
        return value

    @field_validator("insurer", "billers", "centres")
    @classmethod
    def _addresses(cls, value: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for address in (value or {}).values() if isinstance(value, dict) else [value] if value else []:
            if not is_address(address):
                raise ValueError(f"address {address!r} is not one; give http://host:port or https://host")
        return value

    def city_home(self) -> Home:
        """The folder layout under the home."""
        return Home(self.home)

    def bank_inbox(self) -> Path:
        """Where the bank's files are dropped."""
        return self.bank_folder or self.city_home().bank_inbox

    def database_url(self) -> str:
        """Where the books are."""
        return self.database or self.city_home().database_url

    def hsm_addresses(self) -> tuple[Address, ...]:
        """Where the HSMs listen, in the order in which they are asked; none where one is to be simulated."""
        return () if self.hsm is None else parse_addresses(self.hsm)
