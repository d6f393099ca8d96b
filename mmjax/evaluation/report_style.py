"""The style sheet of a report: one column of sections, light or dark as the reader's system is."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d1e24; --soft: #6a6b76; --line: #e4e2db;
  --accent: #1f6fb2; --warm: #fbf3e2;
  --c0: #1f6fb2; --c1: #d1601f; --c2: #2c8a57; --c3: #8757b3; --c4: #b4884a; --c5: #c23b66;
  --l0: #9cc4e4; --l1: #5c9fd1; --l2: #2a74ae; --l3: #123f68;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16171c; --card: #1e2027; --ink: #e9e8e4; --soft: #9c9da8; --line: #33353f;
    --accent: #6db3ef; --warm: #2b281f;
    --c0: #6db3ef; --c1: #f0935a; --c2: #63c590; --c3: #b995e0; --c4: #d9b377; --c5: #ee7d9f;
    --l0: #2c5f8c; --l1: #4a8fc9; --l2: #86bdec; --l3: #cfe6fb;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1160px; margin: 0 auto; padding: 40px 28px 80px; }
h1 { font-size: 34px; line-height: 1.15; margin: 0 0 4px; letter-spacing: -0.02em; }
h2 { font-size: 21px; margin: 52px 0 14px; letter-spacing: -0.01em; }
h3 { font-size: 14px; margin: 0; font-weight: 600; }
p { margin: 0 0 10px; max-width: 76ch; }
.note, .subtitle, figcaption { color: var(--soft); font-size: 13px; }
.subtitle { font-size: 15px; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; font-size: 12.5px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 26px 0 0; padding: 0; list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 16px; }
.tiles b { display: block; font-size: 24px; line-height: 1.2; font-weight: 620;
  font-variant-numeric: tabular-nums; letter-spacing: -0.01em; }
.tiles span { color: var(--soft); font-size: 12.5px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr));
  gap: 16px; }
.chart, .clip { margin: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 14px 16px 10px; position: relative; }
.chart .note { margin: 2px 0 0; }
.chart svg { display: block; width: 100%; height: auto; margin-top: 8px; }
.chart label { position: absolute; right: 16px; top: 14px; font-size: 12.5px; color: var(--soft);
  cursor: pointer; }
.chart input { margin: 0 2px 0 0; vertical-align: -1px; accent-color: var(--accent); }
.chart:not(:has(input:checked)) .log, .chart:has(input:checked) .linear { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; padding: 0;
  list-style: none; font-size: 12.5px; }
.legend li::before { content: ""; display: inline-block; width: 16px; height: 3px;
  border-radius: 2px; background: var(--c); margin-right: 6px; vertical-align: middle; }
.grid { stroke: var(--line); stroke-width: 1; }
svg text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
svg .y { text-anchor: end; } svg .x { text-anchor: middle; }
path { fill: none; stroke: var(--c); stroke-linejoin: round; }
.curve { stroke-width: 2; } .raw { stroke-width: 1; opacity: 0.28; }
.colour0 { --c: var(--c0); } .colour1 { --c: var(--c1); } .colour2 { --c: var(--c2); }
.colour3 { --c: var(--c3); } .colour4 { --c: var(--c4); } .colour5 { --c: var(--c5); }
.level0 { --c: var(--l0); } .level1 { --c: var(--l1); } .level2 { --c: var(--l2); }
.level3 { --c: var(--l3); } .level4 { --c: var(--c4); } .level5 { --c: var(--c5); }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 16px; }
.clips + h3, .task { margin: 26px 0 10px; }
.clip { padding: 12px; }
.clip video, .clip img { display: block; width: 100%; border-radius: 6px; background: #000;
  image-rendering: pixelated; }
.clip audio { width: 100%; margin-top: 8px; }
.clip figcaption { margin-top: 8px; color: var(--ink); }
.clip details { margin-top: 6px; font-size: 12.5px; color: var(--soft); }
.clip details img { margin-top: 8px; image-rendering: auto; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { padding: 8px 14px; text-align: right; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; vertical-align: top; white-space: nowrap; }
th { color: var(--soft); font-weight: 550; font-size: 12.5px; vertical-align: bottom; }
th:first-child, td:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
tr:last-child td { border-bottom: 0; }
tr.real td { background: var(--warm); }
tr.model td:first-child { font-weight: 620; }
.scale { display: block; width: 72px; height: 10px; margin: 3px 0 0 auto; }
.scale line { stroke: var(--line); stroke-width: 2; }
.scale .mark { stroke: var(--soft); stroke-width: 1.5; }
.scale circle { fill: var(--accent); }
details { margin: 0 0 6px; }
.wide + details { margin-top: 12px; }
summary { cursor: pointer; }
pre { margin: 6px 0 14px; padding: 14px 16px; overflow-x: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; }
"""
