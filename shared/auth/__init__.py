"""Signing in to Exchange."""
