"""Namespaces and the maps of ids between them."""
