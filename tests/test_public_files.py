"""The files by which others use the project: its licence, its citation, its changelog, and what they agree on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import gan_lightning

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_all_name_the_same_version_and_licence(project, citation):
    assert project["version"] == citation["version"] == gan_lightning.__version__
    assert project["license"] == citation["license"] == "Apache-2.0"


def test_the_citation_has_what_its_format_asks_for(project, citation):
    """Citation File Format 1.2.0: four keys are required; an author who is no person has a `name`."""
    assert {"cff-version", "message", "title", "authors"} <= citation.keys() and citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software" and citation["abstract"] and citation["keywords"]
    assert citation["authors"] == project["authors"]


def test_the_licence_is_whole():
    """From its title to the end of its appendix, with all nine sections."""
    text = (ROOT / "LICENSE").read_text()
    assert re.findall(r"^   (\d)\. [A-Z]", text, re.MULTILINE) == list("123456789")
    assert text.lstrip().startswith("Apache License") and text.rstrip().endswith("limitations under the License.")
    assert "APPENDIX: How to apply the Apache License to your work." in text


def test_the_changelog_begins_with_what_is_to_come_and_then_has_this_version(project):
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", project["version"]]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_files_that_a_page_points_to_are_there(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text())
    assert links and [link for link in links if not ((ROOT / page).parent / link).exists()] == []
