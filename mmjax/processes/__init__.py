"""How a stream is corrupted and restored. Time 0 is clean and 1 is noise for every process."""
