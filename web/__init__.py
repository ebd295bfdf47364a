"""The browser demo: a static page that runs the detector and the networks, and the program that builds it."""
