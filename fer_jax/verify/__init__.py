"""The command `verify`: what runs, cards and pages claim, checked again."""
