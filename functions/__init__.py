"""The edge: what triggers the service, a few lines a function. All else is in `shared`."""
