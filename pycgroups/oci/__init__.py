"""Models of the OCI specifications: data and their JSON form, no behaviour."""
