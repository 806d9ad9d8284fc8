from setuptools import setup

# setuptools has replaced it by its own.
from distutils.command.build_scripts import build_scripts  # isort: skip


class BuildScripts(build_scripts):
    """With the one that build.py has compiled: setuptools takes every script for a text."""

    def run(self) -> None:
        """Copy it as well."""
        super().run()
        self.copy_file("build/pycgroups-oci", self.build_dir)


# cffi's hook is a keyword of setup(): pyproject.toml has no key for it.
setup(cffi_modules=["pycgroups/_native/build.py:ffibuilder"], cmdclass={"build_scripts": BuildScripts})
