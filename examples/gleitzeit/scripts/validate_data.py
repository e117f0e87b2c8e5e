"""Keeps the readings that are plausible."""

readings = [{"station": "Holm", "level": 3.2}, {"station": "Sund", "level": -99}]
result = [reading for reading in readings if reading["level"] > -10]
