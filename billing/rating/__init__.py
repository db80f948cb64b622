"""Rating: usage and prices in, amounts out. Pure: no Django, no clock, no rows, no settings."""
