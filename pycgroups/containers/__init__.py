"""Containers: what was asked, how it runs, what came of it."""
