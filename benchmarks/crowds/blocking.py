"""A crowd that blocks, a thread each. `python -m benchmarks.crowds.blocking ENDPOINT`."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from etcd_election import ElectionClient, ElectionError, Etcd


class Crowd:
    """Clients of one `Etcd`."""

    def __init__(self, endpoint: str) -> None:
        self._clients: list[ElectionClient] = []
        self._elected: list[tuple[int, float]] = []
        self._errors: list[str] = []
        self._etcd = Etcd(endpoint)

    def join(self, names: list[str], ttl: int, via: str) -> None:
        """One more client and campaign for each name."""
        for name in names:
            client = ElectionClient(self._etcd, name, ttl=ttl, via=via)
            self._clients.append(client)
            number = len(self._clients) - 1
            threading.Thread(target=self._campaign, args=(number, client), daemon=True).start()

    def _campaign(self, number: int, client: ElectionClient) -> None:
        try:
            client.campaign("value")
        except ElectionError as error:
            self._errors.append(repr(error))
            return
        self._elected.append((number, time.monotonic()))

    def elected(self) -> list[tuple[int, float]]:
        """Who has been elected, by number, and when."""
        return self._elected

    def errors(self) -> list[str]:
        """What campaigns have raised."""
        return self._errors

    def terms(self, count: int, name: str, ttl: int, via: str) -> None:
        """Leads so many times, one after the other, always with the client of the first time."""
        if not self._clients:
            self._clients.append(ElectionClient(self._etcd, name, ttl=ttl, via=via))
        for _ in range(count):
            with self._clients[0].campaign("value"):
                pass

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return time.process_time()


def serve(crowd: Crowd) -> None:
    """Does what stdin says, to its end, and then ends the process as it stands."""
    print("{}", flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(crowd, name)(**arguments)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    serve(Crowd(*sys.argv[1:]))
