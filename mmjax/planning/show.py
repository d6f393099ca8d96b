"""A plan for people: a table as text, and a picture of memory and time."""

from typing import Any

from PIL import Image, ImageDraw, ImageFont

from mmjax.evaluation.table import align

USES = (
    "parameters",
    "optimiser",
    "average",
    "other",
    "padding",
    "activations",
    "temporaries",
    "code",
)
COLOURS = ("#33658a", "#86bbd8", "#758e4f", "#bbbbbb", "#dddddd", "#f6ae2d", "#f26419", "#555555")
TIMES = ("compute", "memory", "network")
GIB, WIDTH, BAR, LINE = 2**30, 960, 26, 22


def table(plan: dict[str, Any]) -> str:
    """The plan of one stage."""
    mesh = ", ".join(f"{name} {size}" for name, size in plan["mesh"].items()) or "one device"
    parts = [
        f"{plan['name']} on {plan['topology']} ({plan['chips']} chips; {mesh}), "
        f"{plan['parameters']:,} parameters, batch {plan['batch']}"
    ]
    programs = {name: plan[name] for name in ("train", "sample") if plan.get(name)}
    parts.append(align([["GiB on each device", *programs], *_memory_rows(programs)]))
    timed = {name: program for name, program in programs.items() if program["bound"]}
    if timed:
        parts.append(align([["seconds at best", *timed], *_time_rows(timed)]))
        parts.append(align([
            ["collectives of a step", "count", "GB in the slice", "GB between slices"],
            *([f"{name}, {kind}", f"{row['count']:.0f}", f"{row['fast_bytes'] / 1e9:.3f}",
               f"{row['slow_bytes'] / 1e9:.3f}"]
              for name, program in timed.items() for kind, row in program["exchanged"].items()),
        ]))  # fmt: skip
    if "rates" in plan:
        parts.append(_rates(plan))
    if not plan["train"]["fits"]:
        parts.append(verdict(plan))
    if "sweep" in plan:
        parts.append(_sweep(plan["sweep"]))
    return "\n\n".join(parts)


def verdict(plan: dict[str, Any]) -> str:
    """That training does not fit, by how much, and what would change that."""
    memory = plan["train"]["memory"]
    over = (memory["needed"] - memory["limit"]) / GIB
    line = f"training does not fit: {over:.2f} GiB too much on each device"
    remedy = plan.get("remedy")
    if remedy is None:
        return f"{line}; nothing that was tried makes it fit: take more chips or a smaller model"
    return (
        f"{line}\nit fits ({remedy['needed'] / GIB:.2f} GiB) if you {', and '.join(remedy['how'])}:"
        f"\n  mmjax plan {remedy['arguments']}"
    )


def _memory_rows(programs: dict[str, Any]) -> list[list[str]]:
    rows = [
        [use, *(f"{program['memory'][use] / GIB:.3f}" for program in programs.values())]
        for use in USES
    ]
    for name, key in (("needed", "needed"), ("of", "limit")):
        rows.append([name, *(f"{p['memory'][key] / GIB:.3f}" for p in programs.values())])
    return [*rows, ["fits", *("yes" if p["fits"] else "no" for p in programs.values())]]


def _time_rows(programs: dict[str, Any]) -> list[list[str]]:
    rows = [[t, *(f"{p['bound'][t]:.4g}" for p in programs.values())] for t in (*TIMES, "seconds")]
    return [*rows, ["bound by", *(p["bound"]["binds"] for p in programs.values())]]


def _rates(plan: dict[str, Any]) -> str:
    rates = plan["rates"]
    return (
        f"training at best: MFU {rates['mfu']:.1%} ({plan['model_flops']:.4g} operations a step: "
        "products and convolutions, without recomputation, hidden pairs of attention counted too), "
        f"{rates['examples_per_second_per_chip']:.4g} examples and "
        f"{rates['tokens_per_second_per_chip']:.4g} tokens a second and chip, "
        f"{rates['chip_hours']:.4g} chip-hours for {plan['steps']:,} steps"
    )


def _sweep(rows: list[dict[str, Any]]) -> str:
    heads = ["mesh", "batch", "remat", "GiB", "fits", "seconds", "bound by", "examples/s"]
    lines = [
        [
            " ".join(f"{k}={v}" for k, v in row["mesh"].items()) or "-", str(row["batch"]),
            ",".join(row["remat"]) or "-", f"{row['needed'] / GIB:.3f}",
            "yes" if row["fits"] else "no", f"{row.get('seconds', 0):.3g}",
            row.get("binds", "-"), f"{row.get('examples_per_second', 0):.4g}",
        ]
        for row in rows
    ]  # fmt: skip
    return align([heads, *lines])


def picture(plan: dict[str, Any]) -> Image.Image:
    """Bars of the memory of each program against the chip's, and of the times of each."""
    programs = {name: plan[name] for name in ("train", "sample") if plan.get(name)}
    rows = 3 + len(programs) + len(USES) // 4 + 1 + len(programs) * (len(TIMES) + 1)
    image = Image.new("RGB", (WIDTH, rows * (BAR + 12) + 40), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    y = _line(draw, font, 16.0, f"{plan['name']} on {plan['topology']}: memory of a device")
    most = max(max(p["memory"]["needed"], p["memory"]["limit"]) for p in programs.values())
    for name, program in programs.items():
        y = _stack(draw, font, y, name, program["memory"], most)
    for place, (use, colour) in enumerate(zip(USES, COLOURS, strict=True)):
        x = 100 + place % 4 * 200
        draw.rectangle((x, y + 4, x + 12, y + 16), fill=colour)
        draw.text((x + 18, y + 2), use, fill="black", font=font)
        y += LINE if place % 4 == 3 else 0
    timed = {name: p["bound"] for name, p in programs.items() if p["bound"]}
    for name, bound in timed.items():
        y = _line(
            draw, font, y + 10, f"{name}: seconds of a step at best, bound by {bound['binds']}"
        )
        for part in TIMES:
            length = (WIDTH - 260) * bound[part] / bound["seconds"]
            draw.text((16, y + 5), part, fill="black", font=font)
            draw.rectangle((100, y, 100 + length, y + BAR), fill=COLOURS[0])
            draw.text((108 + length, y + 5), f"{bound[part]:.4g} s", fill="black", font=font)
            y += BAR + 8
    return image.crop((0, 0, WIDTH, int(y) + 16))


def _line(draw, font, y: float, text: str) -> float:
    draw.text((16, y), text, fill="black", font=font)
    return y + LINE


def _stack(draw, font, y: float, name: str, memory: dict[str, float], most: float) -> float:
    """One program's memory by use; a red line marks what there is."""
    scale, x = (WIDTH - 260) / most, 100.0
    draw.text((16, y + 5), name, fill="black", font=font)
    for use, colour in zip(USES, COLOURS, strict=True):
        length = max(0.0, memory[use]) * scale
        draw.rectangle((x, y, x + length, y + BAR), fill=colour)
        x += length
    limit = 100 + memory["limit"] * scale
    draw.line((limit, y - 3, limit, y + BAR + 3), fill="red", width=2)
    text = f"{memory['needed'] / GIB:.2f} of {memory['limit'] / GIB:.2f} GiB"
    draw.text((max(x, limit) + 8, y + 5), text, fill="black", font=font)
    return y + BAR + 8
