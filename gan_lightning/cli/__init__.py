"""The commands: compose the configuration, check it, build objects, call Lightning."""
