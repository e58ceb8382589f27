"""Signed webhook events of MediaMagic."""
