"""How an objective is run backwards: pure functions over an explicit carry."""
