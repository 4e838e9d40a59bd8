"""Filters and tags for figures, times, badges and links."""

from django import template

register = template.Library()
