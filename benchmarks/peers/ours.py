"""The blocking library, as a peer."""

from __future__ import annotations

from etcd_election import ElectionClient, Etcd

from . import TTL


class Candidate:
    """One client."""

    def __init__(self, client: ElectionClient) -> None:
        self._client = client

    def campaign(self) -> None:
        """Waits until elected."""
        self._client.campaign("value")

    def resign(self) -> None:
        """Gives it up."""
        self._client.resign()

    def proclaim(self, value: str) -> None:
        """Replaces its value."""
        leadership = self._client.leadership
        assert leadership is not None
        leadership.proclaim(value)

    def leader(self) -> None:
        """Asks who leads."""
        self._client.leader()


class Ours:
    """The library, as a way to do things."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._endpoint = endpoint
        self._name = name
        self._etcd = Etcd(endpoint)
        self._looking = ElectionClient(self._etcd, name)

    def candidate(self, via: str) -> Candidate:
        """A candidate on the connection that all share."""
        return Candidate(ElectionClient(self._etcd, self._name, ttl=TTL, via=via))

    def once(self, via: str) -> None:
        """A lease, a campaign, and the end of both, on the connection that all share."""
        client = ElectionClient(self._etcd, self._name, ttl=TTL, via=via)
        client.campaign("value")
        client.close()

    def fresh(self, via: str) -> None:
        """The same on a connection of its own, which is closed."""
        client = ElectionClient(self._endpoint, self._name, ttl=TTL, via=via)
        client.campaign("value")
        client.close()

    def standing(self) -> int:
        """How many candidates' keys there are."""
        return len(self._looking.candidates())
