from __future__ import annotations

import csv
import math

from PIL import Image

from gan_lightning.sweeps.result import Result, read
from gan_lightning.sweeps.sweep_table import MARGIN, SIDE, collect, grouped, report, table


def leave(folder, number, overrides, best=None, error=None):
    status = "failed" if error else "done"
    path = folder / str(number)
    path.mkdir(parents=True)
    Result(status, overrides, best or {}, best or {}, 2500, 61.0, error).write(path)
    return path


def test_best_first_and_failed_last(tmp_path):
    leave(tmp_path, 0, ["loss=a"], {"fid": 30.0, "is": 9.0})
    leave(tmp_path, 1, ["loss=b"], error="No.")
    leave(tmp_path, 2, ["loss=c"], {"fid": 4.0, "is": 1.0})
    assert [run.name for run in collect(tmp_path)] == ["2", "0", "1"]


def test_without_fid_more_high_quality_samples_are_better(tmp_path):
    leave(tmp_path, 0, ["a=1"], {"modes": 8.0, "high_quality": 0.5, "reverse_kl": 0.1})
    leave(tmp_path, 1, ["a=2"], {"modes": 7.0, "high_quality": 0.9, "reverse_kl": 0.2})
    assert [run.name for run in collect(tmp_path)] == ["1", "0"]


def test_scores_of_different_extractors_are_not_ranked_against_each_other(tmp_path):
    for number, (name, value) in enumerate([("fid", 9.0), ("fid1797_train[classifier]", 5.0), ("fid", 1.0)]):
        leave(tmp_path, number, [f"n={number}"], {name: value})
    assert [run.name for run in collect(tmp_path)] == ["2", "0", "1"]


def test_mean_and_deviation_are_over_seeds_only(tmp_path):
    values = {("hinge", 1): 10.0, ("hinge", 2): 14.0, ("other", 1): 5.0}
    for number, ((loss, seed), fid) in enumerate(values.items()):
        leave(tmp_path, number, [f"loss={loss}", f"seed={seed}", "max_epochs=1"], {"fid": fid})
    leave(tmp_path, 3, ["loss=other", "seed=2", "max_epochs=1"], error="No.")
    header, rows = grouped(collect(tmp_path))
    assert header == ["loss", "runs", "fid"]
    assert rows == [["other", "1 of 2", "5"], ["hinge", "2 of 2", f"12 ± {math.sqrt(8):.4g}"]]


def test_the_table_shows_what_differs(tmp_path):
    leave(tmp_path, 0, ["loss=a", "max_epochs=1", "optim.lr=0.00012520653814999459"], {"fid": 1.0})
    leave(tmp_path, 1, ["loss=a", "max_epochs=1", "optim.lr=0.001"], error="No.")
    header, rows = table(collect(tmp_path))
    assert header == ["run", "optim.lr", "fid", "kimg", "time", "status"]
    assert rows[0] == ["0", "0.0001252", "1", "2.5", "1:01", "done"] and rows[1][-1] == "No."


def test_files_of_a_report(tmp_path, capsys):
    """Rows in full precision; the better run's picture is on the left; bars in a reason do not break the table."""
    for number, (fid, color) in enumerate([(2 / 3, "red"), (1 / 3, "blue")]):
        folder = leave(tmp_path, number, [f"seed={number}"], {"fid": fid})
        Image.new("RGB", (40, 20), color).save(folder / "samples.png")
    leave(tmp_path, 2, ["seed=2"], error="Neither a|b nor c.")
    report(tmp_path)
    with open(tmp_path / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["fid"]) for row in rows[:2]] == [1 / 3, 2 / 3] and rows[2]["error"] == "Neither a|b nor c."
    picture = Image.open(tmp_path / "results.png").convert("RGB")
    middle = picture.height - MARGIN - SIDE + SIDE // 4
    colors = [picture.getpixel((x, middle)) for x in (picture.width // 4, 3 * picture.width // 4)]
    page = (tmp_path / "results.md").read_text()
    assert colors == [(0, 0, 255), (255, 0, 0)] and "a\\|b" in page and "0.5 ± 0.2357" in page
    assert "over seeds" in capsys.readouterr().out


def test_numbers_that_are_none_are_left_out(tmp_path):
    Result("done", [], {"fid": math.nan}, {"fid": math.inf, "is": 2.0}).write(tmp_path)
    result = read(tmp_path)
    assert result is not None and result.scores == {} and result.best == {"is": 2.0}
