"""The pictures of the documentation, made by the library: ``make pictures``."""
