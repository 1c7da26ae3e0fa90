"""An etcd that wants to know who asks."""

from __future__ import annotations

import grpc

from etcd_election.pb import auth_pb2, rpc_pb2

from .etcd_server import EtcdServer
from .raw import TIMEOUT, RawEtcd


def ask_for_users(server: EtcdServer, credentials: grpc.ChannelCredentials | None = None) -> None:
    """Turns authentication on: root, and alice, who may touch keys under ``mine/`` only.

    Their passwords are their names.
    """
    with RawEtcd(server.endpoint, credentials) as raw:
        for name in ("root", "alice"):
            request = rpc_pb2.AuthUserAddRequest(name=name, password=name)
            raw.auth.UserAdd(request, timeout=TIMEOUT)
        for role in ("root", "mine"):
            raw.auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name=role), timeout=TIMEOUT)
        permission = auth_pb2.Permission(
            permType=auth_pb2.Permission.READWRITE, key=b"mine/", range_end=b"mine0"
        )
        grant = rpc_pb2.AuthRoleGrantPermissionRequest(name="mine", perm=permission)
        raw.auth.RoleGrantPermission(grant, timeout=TIMEOUT)
        for user, role in (("root", "root"), ("alice", "mine")):
            request_role = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
            raw.auth.UserGrantRole(request_role, timeout=TIMEOUT)
        raw.auth.AuthEnable(rpc_pb2.AuthEnableRequest(), timeout=TIMEOUT)
