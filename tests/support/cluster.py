"""A cluster of real etcds on loopback, each of which may be killed, paused and started again.

Guaranteed: `start` returns when every member serves; members that are down keep ports and data.
Not guaranteed: anything about who leads in raft, but `raft_leader` tells.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import grpc

from etcd_election.pb import rpc_pb2

from .etcd_server import HOST, START_TIMEOUT, EtcdServer, ServerTLS, free_ports
from .raw import RawEtcd
from .waiting import eventually

_STARTS = 3
_ASK = 0.5


class EtcdCluster:
    """Members of one etcd cluster. Not thread-safe.

    As a context manager it is started, and at the end killed and removed.

    Args:
        binary: Path of the etcd to run.
        size: How many members.
        args: Further arguments for every etcd.
        tls: How clients are served securely; None: in plain text.
        credentials: What an administrator connects with, where that is so.

    Attributes:
        members: In an order that stays.
        credentials: As given.
    """

    def __init__(
        self,
        binary: str | Path,
        size: int,
        *,
        args: Sequence[str] = (),
        tls: ServerTLS | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.credentials = credentials
        self._binary = binary
        self._size = size
        self._args = tuple(args)
        self._tls = tls
        self.members: list[EtcdServer] = []

    @property
    def endpoints(self) -> list[str]:
        """`host:port` of every member."""
        return [member.endpoint for member in self.members]

    def start(self) -> None:
        """Starts all members on fresh data and waits until all serve.

        Raises:
            AssertionError: They do not in time.
        """
        for attempts_left in reversed(range(_STARTS)):
            self.members = self._fresh()
            for member in self.members:
                member.launch()
            eventually(
                lambda: self._all_serve() or not self._all_run(),
                START_TIMEOUT,
                lambda: f"the cluster does not serve: {[m.log()[-1000:] for m in self.members]}",
                interval=0.05,
            )
            if self._all_run():
                return
            logs = [member.log()[-1000:] for member in self.members]
            self.close()
            # Somebody else was quicker with a port: tests run side by side.
            if not attempts_left or not any("address already in use" in log for log in logs):
                raise AssertionError(f"a member has ended: {logs}")

    def raft_leader(self) -> int | None:
        """The number of the member that leads in raft, as those say that answer; None: nobody."""
        for member in self.members:
            if not member.running:
                continue
            with (
                RawEtcd(member.endpoint, self.credentials) as raw,
                contextlib.suppress(grpc.RpcError),
            ):
                leader = raw.maintenance.Status(rpc_pb2.StatusRequest(), timeout=_ASK).leader
                listed = raw.cluster.MemberList(rpc_pb2.MemberListRequest(), timeout=_ASK).members
                names = {listed_member.ID: listed_member.name for listed_member in listed}
                if leader in names:
                    return int(names[leader].removeprefix("m"))
        return None

    def close(self) -> None:
        """Kills all and removes their data. Idempotent."""
        for member in self.members:
            member.close()

    def __enter__(self) -> EtcdCluster:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _fresh(self) -> list[EtcdServer]:
        ports = free_ports(3 * self._size)
        owned = [ports[3 * i : 3 * i + 3] for i in range(self._size)]
        peers = ",".join(f"m{i}=http://{HOST}:{own[1]}" for i, own in enumerate(owned))
        return [
            EtcdServer(
                self._binary, args=self._args, name=f"m{i}", ports=own, peers=peers, tls=self._tls
            )
            for i, own in enumerate(owned)
        ]

    def _all_run(self) -> bool:
        return all(member.running for member in self.members)

    def _all_serve(self) -> bool:
        return all(member.serves for member in self.members)
