"""The cards of many people on the page of a run, in a browser."""

from __future__ import annotations

from pathlib import Path

from browser import Browser

from bpbreid_track.pipeline.report import TrackingReport
from bpbreid_track.report_page.lives import Life
from bpbreid_track.report_page.page import RunPage


def test_a_page_of_many_people_fills_its_cards_after_it_is_there(tmp_path: Path) -> None:
    page = RunPage(tmp_path / "run.html")
    for identity in range(1, 401):
        page.lives.of[identity] = Life([(identity, identity + 9, identity / 10, identity / 10 + 0.9)], 10)
    page.write(TrackingReport("street.mp4", "boxes", "none", {}, {}).to_dict())
    with Browser(tmp_path) as browser:
        browser.open(tmp_path / "run.html")
        assert browser.run("document.querySelectorAll('.card').length") == 400
        filled = """new Promise((done) => {
          const look = () => document.querySelector('.card:empty') ? setTimeout(look, 5) : done(true);
          look();
        })"""
        assert browser.wait_for(filled)
        # Those that are filled late work as the first ones do, and so does what a correction has changed.
        for identity in (1, 400):
            browser.run(f"document.querySelector('#card-{identity} input[type=checkbox]').click()")
        browser.run("document.getElementById('merge').click()")
        assert browser.wait_for(filled)
        assert browser.run("document.querySelectorAll('.card input[type=checkbox]').length") == 399
        assert "seen in 20 frames, 1 gap" in browser.run("document.getElementById('card-1').textContent")
        browser.run("document.getElementById('undo').click()")
        assert browser.wait_for(filled)
        assert "seen in 10 frames" in browser.run("document.getElementById('card-400').textContent")
