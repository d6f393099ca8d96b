"""What is learned: each objective turns a batch into named loss terms, and samples if it can."""
