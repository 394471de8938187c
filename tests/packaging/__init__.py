"""What others install: wheel and sdist with pipx, the package for Debian in a system of its own,
manual pages, completions in real shells, and what is told where a part of the system is missing.
"""
