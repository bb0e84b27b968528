import base64
import hashlib
import io
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from sde_jax.errors import InputError
from sde_jax.report import Report, render
from sde_jax.report.progress import duration_text

HOSTILE = "<script>window.pwned=1</script>"


class Document(HTMLParser):
    """The elements and the visible text of a page."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self.inside = [], {}, "body"
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = "body"

    def handle_data(self, data):
        self.text[self.inside] = self.text.get(self.inside, "") + data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def document(page):
    return Document(page)


def test_the_page_refers_to_nothing_outside_itself(page, document):
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert "url(" not in page
    for _, attributes in document.elements:
        for key in ("src", "srcset", "href", "action", "data", "poster"):
            assert attributes.get(key, "data:").startswith("data:")
        assert not any(key.startswith("on") for key in attributes)


def test_every_image_of_the_page_can_be_read(document):
    sources = [image["src"] for image in document.all("img")] + [source["srcset"] for source in document.all("source")]
    assert len(sources) == 2 + 12 + 3 + 3 + 1 + 4 * 8
    for source in sources:
        kind, content = source.removeprefix("data:").split(";base64,")
        content = base64.b64decode(content, validate=True)
        if kind == "image/png":
            Image.open(io.BytesIO(content)).load()
        else:
            assert kind == "image/svg+xml"
            ElementTree.fromstring(content)


def test_the_policy_allows_the_one_script_and_nothing_else(document):
    policy = next(meta["content"] for meta in document.all("meta") if "http-equiv" in meta)
    digest = base64.b64encode(hashlib.sha256(document.text["script"].encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert len(document.all("script")) == 1


def test_every_string_is_text(page, document):
    assert document.text["h1"] == document.text["title"] == f"run {HOSTILE}"
    assert HOSTILE not in page
    for tag in ("dt", "dd", "figcaption", "th"):
        assert HOSTILE in document.text[tag]


def test_numbers_are_written_as_people_read_them(document):
    assert "50,000" in document.text["dd"]
    assert "0.1235" in document.text["dd"]
    assert "12345" in document.text["dd"], "a setting is shown as it is"
    assert "[8, 16]" in document.text["dd"]


def test_every_image_and_control_has_a_name(document):
    assert all(image["alt"].strip() for image in document.all("img"))
    headings = {heading["id"] for heading in document.all("h2")}
    assert all(section["aria-labelledby"] in headings for section in document.all("section"))
    assert all(control["aria-label"] for control in document.all("input"))


def test_one_frame_is_shown_until_the_slider_moves(document):
    frames = [image for image in document.all("img") if "data-time" in image]
    assert [frame["data-time"] for frame in frames][:2] == ["t = 1.00", "t = 0.91"]
    assert ["hidden" in frame for frame in frames] == [True] * 11 + [False]
    slider = next(iter(document.all("input")))
    assert (slider["id"], slider["min"], slider["max"], slider["value"]) == (
        "trajectory-slider",
        "0",
        "11",
        "11",
    )


def test_there_is_a_section_only_where_there_is_data(document):
    assert [section["id"] for section in document.all("section")] == [
        "samples",
        "points",
        "sampling",
        "training",
        "training-levels",
        "previews",
        "time",
        "noise-levels",
        "likelihood",
        "evaluation",
        "restorations",
        "neighbours",
        "configuration",
        "environment",
    ]
    empty = Document(render(Report(title="empty")))
    assert empty.all("section") == empty.all("img") == empty.all("dl") == []
    one = Document(render(Report(title="one", grids={"a": np.zeros((1, 2, 2, 1), np.uint8)})))
    assert [section["id"] for section in one.all("section")] == ["samples"]


def test_a_likelihood_is_told_with_its_error_its_passes_and_its_distance_to_the_baseline(document, report):
    bits, gaps = report.bits_per_dim, report.bits_per_dim - report.baseline_bits_per_dim
    said = document.text["dd"]
    assert f"{bits.mean():.3f} ± {np.std(bits, ddof=1) / 8:.3f} bits per dimension, over 64 examples" in said
    assert "2 for each example" in said
    assert "2.900 ± 0.050 bits per dimension" in said
    error = np.std(gaps, ddof=1) / 8
    assert f"−{-gaps.mean():.3f} ± {error:.3f}, paired over 64 examples" in said


def test_time_is_told_part_by_part_the_longest_first(document):
    assert document.text["th"].startswith(f"stepsdata {HOSTILE}compile")
    assert document.text["td"].startswith("15 h 05 min97.7%20 min 34 s2.2%1 min 01 s0.1%")
    styles = [attributes["style"] for attributes in document.all("span")]
    assert styles == ["width:97.7%", "width:2.2%", "width:0.1%"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01234, "0.0123 s"),
        (59.9, "59.9 s"),
        (59.99, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (86399, "1 d 00 h"),
        (86400, "1 d 00 h"),
        (9 * 86400 + 5.4 * 3600, "9 d 05 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, text):
    assert duration_text(seconds) == text


def test_times_have_as_many_decimals_as_tell_the_frames_apart():
    frames = np.zeros((3, 1, 2, 2, 1), np.uint8)
    page = Document(render(Report(title="fine", trajectory=frames, trajectory_times=[1.0, 0.002, 0.001])))
    assert [image["data-time"] for image in page.all("img")] == ["t = 1.000", "t = 0.002", "t = 0.001"]


def test_the_same_report_gives_the_same_bytes(report, page):
    assert render(report) == page


def test_a_name_that_is_not_utf8_can_still_be_written():
    name = b"run \xff".decode("utf-8", "surrogateescape")
    assert "run ?" in render(Report(title=name)).encode("utf-8").decode()


IMAGES = np.zeros((4, 8, 8, 1), np.uint8)
FRAMES = np.zeros((3, 4, 8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"title": " "}, "title"),
        ({"summary": [("loss", 1.0)]}, "summary"),
        ({"summary": [("loss", float("nan"), "")]}, "loss"),
        ({"summary": [("loss", np.float32("inf"), "")]}, "loss"),
        ({"summary": [("loss", [1.0], "")]}, "loss"),
        ({"config": {"sde": {"beta": float("nan")}}}, "config.sde.beta"),
        ({"config": {"blocks": [{"rate": [0.1, float("inf")]}]}}, "config.blocks.0.rate.1"),
        ({"config": {"model": object()}}, "config.model"),
        ({"environment": {"device": {1, 2}}}, "environment.device"),
        ({"curve": {"training": ([1, 2], [1.0])}}, "training"),
        ({"curve": {"training": [1, 2, 3]}}, "training"),
        ({"time": {"a": -1.0}}, "time"),
        ({"time": {"a": float("nan")}}, "time"),
        ({"progress": {"goodput": float("nan")}}, "progress.goodput"),
        ({"previews": {"step 1": np.zeros((2, 2), np.uint8)}}, "step 1"),
        ({"previews": {"step 1": np.zeros((2, 2, 3))}}, "step 1"),
        ({"restorations": {"inpaint": np.zeros((2, 2, 3))}}, "inpaint"),
        ({"level_losses": ([1, 2], [0, 1, 2], [[1.0, 1.0]])}, "losses"),
        ({"noise_levels": ([0.0], [float("nan")])}, "loss"),
        ({"noise_levels": np.zeros((2, 3))}, "noise_levels"),
        ({"grids": {"a": IMAGES[0]}}, "'a'"),
        ({"grids": {"two\nlines": IMAGES / 255}}, "two"),
        ({"trajectory": FRAMES, "trajectory_times": None}, "trajectory_times"),
        ({"trajectory": None, "trajectory_times": [1.0]}, "trajectory_times"),
        ({"trajectory": FRAMES, "trajectory_times": [1.0, 0.0]}, "trajectory_times"),
        ({"trajectory": FRAMES, "trajectory_times": [0.0, 0.5, 1.0]}, "trajectory_times"),
        ({"trajectory": FRAMES, "trajectory_times": [2.0, 1.0, 0.0]}, "trajectory_times"),
        ({"trajectory": FRAMES, "trajectory_times": [1.0, np.nan, 0.0]}, "trajectory_times"),
        ({"trajectory": IMAGES, "trajectory_times": [1.0] * 4}, "trajectory"),
        ({"bits_per_dim": [1.0, np.nan]}, "bits_per_dim"),
        ({"bits_per_dim": [[1.0]]}, "bits_per_dim"),
        ({"baseline_bits_per_dim": 3.0}, "baseline_bits_per_dim"),
        ({"bound_bits_per_dim": (3.0, 0.1)}, "bound_bits_per_dim"),
        ({"bits_per_dim": [1.0], "bound_bits_per_dim": (np.inf, 0.1)}, "bound"),
        ({"bits_per_dim": [1.0], "passes": 0}, "passes"),
        ({"points": {"plane": (np.zeros((3, 2)), np.zeros((3, 3)))}}, "plane"),
        ({"points": {"plane": np.zeros((3, 2))}}, "plane"),
        ({"points": {"plane": (np.zeros(3), None)}}, "plane"),
        ({"points": {"plane": (np.full((3, 2), np.nan), None)}}, "plane"),
        ({"points": {"plane": (np.zeros((3, 2)), None)}, "columns": ["x"]}, "columns"),
        ({"evaluations": [{"metric": "fid", "value": 1.0}]}, "checkpoint_step"),
        ({"evaluations": [{"metric": "fid", "value": np.nan, "checkpoint_step": 1, "samples": 2}]}, "fid"),
        ({"evaluations": [{"metric": "fid", "value": "3", "checkpoint_step": 1, "samples": 2}]}, "fid"),
        ({"neighbours": (IMAGES, IMAGES[:, None])}, "neighbours"),
        ({"neighbours": (IMAGES, IMAGES[:3, None], np.zeros((3, 1)))}, "neighbours"),
        ({"neighbours": (IMAGES, IMAGES[:, None], np.zeros((4, 2)))}, "distances"),
        ({"neighbours": (IMAGES, IMAGES[:, None], np.full((4, 1), -1.0))}, "distances"),
    ],
)
def test_malformed_parts_are_told_in_one_line_that_names_them(parts, named):
    with pytest.raises(InputError) as caught:
        render(Report(**{"title": "run", **parts}))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
