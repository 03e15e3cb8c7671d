"""Treadle runs Arazzo documents."""
