"""What people look at: text, plots, contact sheets, and the run's page."""
