"""A database server that loses power."""

import psutil

from city.processes import PostgresServer


def kill(server: PostgresServer) -> None:
    """Kill the server and everything that it started, at once and without a word."""
    first = psutil.Process(int(server.pid_file.read_text().splitlines()[0]))
    processes = [first, *first.children(recursive=True)]
    for process in processes:
        process.kill()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
