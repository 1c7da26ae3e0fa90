"""The administrator of an etcd with users: switches authentication on and off, and looks in."""

from __future__ import annotations

from collections.abc import Sequence

from etcd_election.pb import auth_pb2, kv_pb2, rpc_pb2

from .etcd_server import EtcdServer
from .raw import TIMEOUT, RawEtcd, prefix_end

NAME = "root"


class Root:
    """Calls as the user root, whose password is "root"; every call fetches a token of its own.

    Args:
        server: An etcd without users so far.
        users: To be added, each with its name as password and full access to keys under ``mine/``.
    """

    def __init__(self, server: EtcdServer, users: Sequence[str] = ("alice", "bob")) -> None:
        self.endpoint = server.endpoint
        self._logins = 0
        self._server = server
        self._raw = RawEtcd(server.endpoint)
        self._on = False
        auth = self._raw.auth
        for role in (NAME, "mine"):
            auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name=role), timeout=TIMEOUT)
        permission = auth_pb2.Permission(
            permType=auth_pb2.Permission.READWRITE, key=b"mine/", range_end=b"mine0"
        )
        grant = rpc_pb2.AuthRoleGrantPermissionRequest(name="mine", perm=permission)
        auth.RoleGrantPermission(grant, timeout=TIMEOUT)
        for user in (NAME, *users):
            add = rpc_pb2.AuthUserAddRequest(name=user, password=user)
            auth.UserAdd(add, timeout=TIMEOUT)
            role = NAME if user == NAME else "mine"
            member = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
            auth.UserGrantRole(member, timeout=TIMEOUT)

    def switch_on(self) -> None:
        """From now on etcd wants to know who asks."""
        self._raw.auth.AuthEnable(rpc_pb2.AuthEnableRequest(), timeout=TIMEOUT)
        self._on = True

    def switch_off(self) -> None:
        """From now on it does not."""
        self._raw.auth.AuthDisable(
            rpc_pb2.AuthDisableRequest(), timeout=TIMEOUT, metadata=self._metadata()
        )
        self._on = False

    def change_password(self, user: str, password: str) -> None:
        """Tokens of the user are good for nothing from now on."""
        request = rpc_pb2.AuthUserChangePasswordRequest(name=user, password=password)
        self._raw.auth.UserChangePassword(request, timeout=TIMEOUT, metadata=self._metadata())

    def candidates(self, name: str) -> list[kv_pb2.KeyValue]:
        """The queue of an election, the leader first."""
        key = name.encode() + b"/"
        request = rpc_pb2.RangeRequest(
            key=key,
            range_end=prefix_end(key),
            sort_target=rpc_pb2.RangeRequest.CREATE,
            sort_order=rpc_pb2.RangeRequest.ASCEND,
        )
        answer = self._raw.kv.Range(request, timeout=TIMEOUT, metadata=self._metadata())
        return list(answer.kvs)

    def leases(self) -> set[int]:
        """All leases there are."""
        answer = self._raw.lease.LeaseLeases(
            rpc_pb2.LeaseLeasesRequest(), timeout=TIMEOUT, metadata=self._metadata()
        )
        return {lease.ID for lease in answer.leases}

    def authentications(self) -> int:
        """How often anybody has asked this etcd for a token, root left out."""
        return self._server.ended_calls("Authenticate") - self._logins

    def close(self) -> None:
        """Ends the connection."""
        self._raw.close()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if not self._on:
            return ()
        self._logins += 1
        login = rpc_pb2.AuthenticateRequest(name=NAME, password=NAME)
        return (("token", self._raw.auth.Authenticate(login, timeout=TIMEOUT).token),)
