"""Programs that the city starts: they end with whoever has started them, however that ends."""

import socket
import subprocess
import sys
from pathlib import Path

from city.processes import PROJECT
from tests.support.waiting import wait_until

STARTS_AN_HSM = """
import sys, time
from pathlib import Path
from city.processes import running_hsm
with running_hsm(Path(sys.argv[1])) as hsm:
    print(hsm.port, flush=True)
    time.sleep(600)
"""


def test_an_hsm_ends_when_who_has_started_it_is_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_AN_HSM, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        assert answers(port)
        starter.kill()
    wait_until(lambda: not answers(port))


STARTS_A_POSTGRES = """
import time
from city.processes import FLEETING, private_server
with private_server(FLEETING) as server:
    print(server.folder, server.pid_file.read_text().split()[0], flush=True)
    time.sleep(600)
"""


def test_a_postgres_ends_and_its_folder_goes_when_who_has_started_it_is_killed() -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_POSTGRES], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        folder, number = starter.stdout.readline().split()
        assert runs(int(number)) and Path(folder).is_dir()
        starter.kill()
    wait_until(lambda: not runs(int(number)) and not Path(folder).exists())


def runs(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
