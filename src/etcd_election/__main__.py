"""``python -m etcd_election`` is the command ``etcd-election``."""

from __future__ import annotations

import sys

from ._cli.main import main

sys.exit(main())
