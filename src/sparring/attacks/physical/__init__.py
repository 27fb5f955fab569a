"""Attacks meant for the world outside: visible patches, stickers, and pictures that fool from many views."""
