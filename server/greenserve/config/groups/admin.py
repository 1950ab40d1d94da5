"""Settings: the admin pages. Part of Config, in settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["AdminSettings"]

ADMIN = "Admin pages"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class AdminSettings:
    """The admin pages."""

    admin_bind: str = setting(
        "off",
        kinds.admin_address(),
        group=ADMIN,
        help="address of the admin pages: /healthz, /readyz, /metrics, a live page at / and more",
    )
    admin_token: str = setting(
        "",
        kinds.secret(),
        group=ADMIN,
        help="token that the admin pages ask for, but for health; better in a file or in the environment, "
        "where `ps` does not show it",
    )
    admin_token_file: str = setting(
        "",
        kinds.file(),
        group=ADMIN,
        help="file that holds the token of the admin pages; it beats admin_token",
    )
    admin_open_metrics: bool = setting(
        False,
        kinds.boolean(),
        group=ADMIN,
        help="answer /metrics to everybody who can reach admin_bind",
    )
