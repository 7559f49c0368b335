"""What the environment says about where and how the city runs."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from city.home import Home


def _is_address(text: str) -> bool:
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
    hsm: str | None = Field(default=None, description="host:port of the HSM; default: hsm-sim as a process")
    insurer: str | None = Field(
        default=None, description="address of the insurer; default: hospital bills wait"
    )
    billers: dict[str, str] = Field(default={}, description='billers by id, as JSON: {"GAS-1": "http://…"}')
    peer_timeout_s: float = Field(
        default=5.0, gt=0, le=60, description="how long insurer and billers may take; the HSM twice that"
    )
    production: bool = Field(default=False, description="refuse demo keys and simulators")

    @field_validator("hsm")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not (value.rpartition(":")[0] and value.rpartition(":")[2].isdecimal()):
            raise ValueError(f"ONECARD_HSM is {value!r}; give host:port, such as 10.0.0.5:1500")
        return value

    @field_validator("insurer", "billers")
    @classmethod
    def _addresses(cls, value: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for address in (value or {}).values() if isinstance(value, dict) else [value] if value else []:
            if not _is_address(address):
                raise ValueError(f"address {address!r} is not one; give http://host:port or https://host")
        return value

    def city_home(self) -> Home:
        """The folder layout under the home."""
        return Home(self.home)

    def database_url(self) -> str:
        """Where the books are."""
        return self.database or self.city_home().database_url

    def hsm_address(self) -> tuple[str, int] | None:
        """Where the HSM listens, or None where a simulated one is to be started."""
        if self.hsm is None:
            return None
        host, _, port = self.hsm.rpartition(":")
        return host, int(port)
