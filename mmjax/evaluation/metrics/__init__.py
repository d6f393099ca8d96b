"""One metric a file; the detectors they share."""
