"""Models of the OCI specifications, and config.json to and from them; no behaviour."""
