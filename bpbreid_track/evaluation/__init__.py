"""Tracking quality (HOTA, IDF1, MOTA) and re-identification quality (mAP, CMC)."""
