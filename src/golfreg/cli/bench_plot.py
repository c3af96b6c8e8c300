"""The plot of ``golfreg bench codecs``: bits a code by role, one bar a codec. matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from golfreg.api.errors import EnvironmentFault


def draw(result: dict[str, Any], path: Path) -> None:
    """Write an .svg or .png file; the axis begins where the differences are. EnvironmentFault without matplotlib."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise EnvironmentFault(
            "`--plot` needs matplotlib, which is not installed", "pip install 'golfreg[plots]'"
        ) from None
    found = [row for row in result["codecs"] if row["error"] is None and row["codec"] != "none"]
    roles = result["references"]["roles"]
    bars = [(row["codec"], row["by_role"]) for row in found]
    bars += [
        (name, {role: values[key] for role, values in roles.items()})
        for name, key in (("order-0 entropy", "order_0"), ("row x column, ideal", "row_x_column"))
    ]
    values = [value for _, by_role in bars for value in by_role.values()]
    with matplotlib.rc_context({"svg.hashsalt": "golfreg"}):
        figure = Figure(figsize=(2 + 1.6 * max(len(roles), 1), 4.2), layout="constrained")
        axes = figure.add_subplot()
        width = 0.85 / max(len(bars), 1)
        for i, (name, by_role) in enumerate(bars):
            places = [k + (i - (len(bars) - 1) / 2) * width for k in range(len(roles))]
            axes.bar(places, [by_role[role] for role in roles], width, label=name, color=f"C{i % 10}")
        axes.set_xticks(range(len(roles)), list(roles))
        axes.set_ylabel("bits a code")
        if values:
            axes.set_ylim(0.9 * min(values), 1.02 * max(values))
        axes.set_title(f"{Path(result['weights']).name}: axis from {0.9 * min(values, default=0):.2f} bits")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False)
        try:
            if path.suffix == ".svg":
                FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
                    str(path), metadata={"Date": None}
                )
            else:
                FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
                    str(path)
                )
        except OSError as error:
            raise EnvironmentFault(f"`{path}` cannot be written: {error.strerror}", "check the path") from None
