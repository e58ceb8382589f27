"""Sensors: wait for a job that something else started; they never cancel it."""
