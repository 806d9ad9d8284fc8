from setuptools import setup

# cffi's hook is a keyword of setup(): pyproject.toml has no key for it.
setup(cffi_modules=["pycgroups/_native/build.py:ffibuilder"])
