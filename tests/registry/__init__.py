"""Registries for tests: one that misbehaves, Debian's, and images in memory to copy to them and from them."""
