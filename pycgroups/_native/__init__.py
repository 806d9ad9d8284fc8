"""The C shim: mechanism only. `pycgroups._native.calls` has the typed functions; C files say what each does."""
