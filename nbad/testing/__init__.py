"""The correctness harness: `check_kernel` proves one kernel, through the calls that a user makes."""

from nbad.testing.check import CHECKS, CheckFailure, Entry, Report, check_kernel

__all__ = ["CHECKS", "CheckFailure", "Entry", "Report", "check_kernel"]
