"""In these tests, imports of aihwkit find ohmgrad."""

from ohmgrad.compat import install

install()
