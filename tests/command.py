"""Calls of the command line, in this process."""

from typing import Any

from typer.testing import CliRunner

from svd_nodes.headless.cli import app

SMALL = ["--width", "32", "--height", "24", "--steps", "2", "--device", "cpu"]


def call(*words: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `svd-nodes WORDS`. An exception that is no exit is a failed test."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def refused(*words: Any) -> str:
    """The sentence with which `svd-nodes WORDS` refuses bad input, having printed no result and no traceback."""
    code, out, err = call(*words)
    assert code == 2, (code, out, err)
    assert out == ""
    assert "Traceback" not in err
    return err
