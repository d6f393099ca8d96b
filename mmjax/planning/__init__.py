"""What a config needs and how fast it can be on TPUs, found out without any."""
