"""The encoder in other people's trackers, one module a host, each imported only when asked for.

| module | host |
|---|---|
| ``boxmot``, ``boxmot_parts`` | BoxMOT |
| ``ultralytics`` | ``YOLO.track`` of Ultralytics |
| ``trackers`` | trackers of Roboflow, and the method name of its ``reid`` package |
| ``supervision`` | ``sv.Detections`` that carry part embeddings |
| ``deep_sort_realtime`` | deep-sort-realtime |
| ``norfair`` | norfair and norfair-enough |
| ``tracklab`` | TrackLab |
| ``array_tracker`` | none: ``PartTracker`` with arrays in and out, as BoxMOT's users know it |

Two levels: *drop-in* gives a host one flat vector a box through its own hook; *exact* puts the
visibility-masked part distance (Eq. 9) into its association. ``report.appearance_report`` says for each
adapter which of the two is in use and how many matches appearance decided.
"""
