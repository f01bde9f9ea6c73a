"""The version this process says it is."""

VERSION = "0.1.0"
