"""Folders and files ⇄ models."""
