"""The page tells ratios first, and hides nobody."""

import xml.etree.ElementTree as ET

from measuring.figures import Absence, Machine, Results, Sample, Standing
from measuring.page import draw_pictures, render_page, write_page

MACHINE = Machine("2026-01-01", "a processor", 2, 23.0, "Linux 6", "3.11.7", 0.1)


def results() -> Results:
    found = Results(MACHINE, 2, 3.0)
    found.models["tiny"] = "linear"
    found.titles.update(modelport="modelport", ceiling="the ceiling", slow="Slow & Co", gone="Gone")
    found.versions["slow"] = {"slow": "1.0"}
    for turn in range(2):
        for name, rate in (("modelport", 60_000.0), ("ceiling", 75_000.0), ("slow", 500.0)):
            failed = 7 if name == "slow" else 0
            busy = 0.99 if name == "ceiling" else 0.5
            for cell, scale in (("c1", 0.1), ("c64", 1.0), ("json256", 0.1)):
                found.samples.append(
                    Sample(
                        "tiny",
                        "split",
                        name,
                        cell,
                        turn,
                        rate * scale,
                        900,
                        2500,
                        1e6 / rate,
                        failed,
                        0,
                        busy,
                    )
                )
    for name in ("modelport", "ceiling", "slow"):
        unsupported = {"binary256": "answers 404"} if name == "slow" else {}
        found.standings.append(
            Standing("tiny", "split", name, 1, (0.5, 0.7, 9.0), 70 << 20, 1e-9, unsupported)
        )
    found.absences.append(Absence("tiny", "split", "gone", "pip: no matching | distribution"))
    return found


def test_ratios_come_before_figures() -> None:
    page = render_page(results(), {})
    assert page.index("120 \N{MULTIPLICATION SIGN}") < page.index("60,000")
    assert "0.80 \N{MULTIPLICATION SIGN}" in page  # of the ceiling


def test_what_failed_or_is_missing_is_told() -> None:
    page = render_page(results(), {})
    assert "pip: no matching ¦ distribution" in page
    assert "500 ‡" in page
    assert "14 refused" in page
    assert "75,000 †" in page
    assert "not supported" in page
    assert "slow 1.0" in page


def test_rows_per_second_count_rows() -> None:
    assert f"{6_000 * 256:,}" in render_page(results(), {})


def test_the_pictures_are_sound_and_beside_the_page(tmp_path) -> None:
    for drawing in draw_pictures(results()).values():
        ET.fromstring(drawing)
    page = tmp_path / "docs" / "explanation" / "performance.md"
    page.parent.mkdir(parents=True)
    write_page(results(), page)
    assert "../pictures/performance-tiny.svg" in page.read_text()
    assert (tmp_path / "docs" / "pictures" / "performance-tiny.svg").exists()


def test_nothing_measured_is_a_page_too() -> None:
    assert "# Performance" in render_page(Results(MACHINE, 1, 1.0), {})
