"""Starts a thread when it is imported, as libraries of mathematics do; but not in the process of the tests."""

from __future__ import annotations

import sys
import threading

if "pytest" not in sys.modules:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def answer():
    return 42
