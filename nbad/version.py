"""The version, for `nbad.__version__`, the disk cache and the package metadata."""

VERSION = "0.2.0"
