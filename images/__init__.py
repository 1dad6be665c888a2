"""Recipes and builders of what machines boot, and the store that keeps the results. Knows no appliance."""
