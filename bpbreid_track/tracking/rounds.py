"""The rounds of the association by name; apart, so that a log of reasons is read without loading torch."""

from __future__ import annotations

HIGH, LOW, NEW = "high", "low", "new"
