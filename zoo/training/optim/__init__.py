"""Optimizers, schedules, averages, and which parameters each of them takes."""
