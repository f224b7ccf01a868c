"""Importing this module lets ``aihwkit`` be found in ohmgrad from then on."""

from ohmgrad.compat.finder import install

install()
