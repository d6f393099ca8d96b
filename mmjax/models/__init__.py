"""Networks: one short file for each published wiring."""
