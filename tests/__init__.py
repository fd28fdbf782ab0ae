"""Tests of the service."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""Of the project."""
