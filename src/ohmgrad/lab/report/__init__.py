"""One page of HTML about a result: tables, curves that answer to the pointer, and everything it was computed with."""

from ohmgrad.lab.report.comparison import report_comparison
from ohmgrad.lab.report.reproduction import report_reproduction
from ohmgrad.lab.report.sweep import report_sweep

__all__ = ["report_comparison", "report_reproduction", "report_sweep"]
