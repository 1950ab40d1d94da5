"""What is kept."""

from __future__ import annotations

from django.db import models


class Note(models.Model):  # type: ignore[misc]  # Django has no types
    """One note."""

    text = models.CharField(max_length=500)
    written = models.DateTimeField(auto_now_add=True, db_index=True)
