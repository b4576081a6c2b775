"""Figures: how a query's rows are drawn, a module a kind of figure."""
