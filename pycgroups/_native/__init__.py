"""The C shim: mechanism only. `calls` and `bpf` have the typed functions; C files say what each does."""
