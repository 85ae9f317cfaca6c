"""Propose marks on images for people to confirm: arrows, boxes, letters, text, overlays, tints."""
