"""The first example."""

import re

from simopt.examples.quickstart import main


def test_it_prints_half_captures_in_order_of_variance(capsys):
    main()
    printed = capsys.readouterr().out
    captured_at = [float(score) for score in re.findall(r"half captured at (0\.\d+)", printed)]
    assert len(captured_at) == 10
    assert captured_at[:5] == sorted(captured_at[:5])
    assert "||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F)" in printed
