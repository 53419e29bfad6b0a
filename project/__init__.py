"""The example project: every flight that left New York in 2013."""
