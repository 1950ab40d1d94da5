"""The app `greenserve.django`, as Django finds it by INSTALLED_APPS, and a check of its place there."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import Warning, register

__all__ = ["GreenserveConfig"]


class GreenserveConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """The app. Its label is `greenserve`, since `django` would be confusing."""

    name = "greenserve.django"
    label = "greenserve"

    def ready(self) -> None:
        """Check the order of apps when Django checks."""
        register(_check_order)


def _check_order(app_configs: Any, **options: Any) -> list[Warning]:
    names = [one.name for one in apps.get_app_configs()]
    static = "django.contrib.staticfiles"
    if static in names and names.index(static) < names.index(GreenserveConfig.name):
        return [
            Warning(
                f"{static} stands before {GreenserveConfig.name} in INSTALLED_APPS, so runserver is not greenserve",
                hint=f"Move {GreenserveConfig.name} before it.",
                id="greenserve.W001",
            )
        ]
    return []
