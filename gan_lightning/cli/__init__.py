"""The commands: compose, check, build, call Lightning."""
