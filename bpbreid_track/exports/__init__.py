"""Tracks as other programs read them: CVAT, MOT, COCO, SoccerNet, Label Studio."""
