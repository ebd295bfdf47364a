"""What programs share a disk by: its space, and locks on folders."""
