"""What a connection was asked for, checked: the same for both front-ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import arguments, timing
from .._core.endpoints import parse
from .._core.link import Link
from ..types import TLS
from .asides import hosts_to_look_up
from .delivery import Delivery
from .network import network_of

if TYPE_CHECKING:
    from .certificates import Certificates


class Setup:
    """The arguments of an ``Etcd``.

    Attributes:
        network: Where the endpoints lead; None: to servers, by gRPC.
        link: The state of the connection.
        options: Further options for channels.
        certificates: For the endpoints that speak TLS; None if there are none.
        delivery: Tells events; None if nobody asked for them.

    Raises:
        TypeError, ValueError: An argument is not as described; nothing was sent.
    """

    def __init__(
        self,
        endpoints: object,
        *,
        tls: object,
        user: object,
        password: object,
        timeout: object,
        options: object,
        on_event: object,
    ) -> None:
        if tls is not None and not isinstance(tls, TLS):
            raise TypeError(f"tls must be a TLS or None, not {type(tls).__name__}")
        parsed = parse(endpoints, tls=tls is not None)
        self.network = network_of(parsed)
        self.options = arguments.channel_options(options)
        callback = arguments.optional_function("on_event", on_event)
        self.delivery = None if callback is None else Delivery(callback)
        self.link = Link(
            parsed,
            timeout=arguments.seconds("timeout", timeout, positive=True),
            credentials=arguments.credentials(user, password),
            clock=self.network.clock if self.network else timing.system_clock,
            hosts=() if self.network else hosts_to_look_up(parsed, self.options),
            listener=None if self.delivery is None else self.delivery.listener(),
        )
        self.certificates: Certificates | None = None
        if any(endpoint.tls for endpoint in parsed):
            # Where TLS is not spoken, nobody waits for what reads certificates to be imported.
            from .certificates import Certificates  # noqa: PLC0415

            self.certificates = Certificates(tls or TLS())
            self.link.identity = self.certificates
