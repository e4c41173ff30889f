"""Lists the packages of the wheel by rule, so that none can be forgotten. All else is in pyproject.toml.

setuptools' own rules know a folder of packages; here the repository's root is itself the package.
"""

from setuptools import find_packages, setup

STAYS_HERE = ["bench*", "tests*", "training*", "tools.*"]  # for people who work on the pack, in a clone

setup(
    packages=["svd_nodes", *(f"svd_nodes.{name}" for name in find_packages(exclude=STAYS_HERE))],
    script_name="setup.py",  # else this file, which lies in the package's folder, is taken for a module of it
)
