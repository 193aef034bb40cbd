/** @file The style sheet of pages: light and dark, wide and narrow. */

/** Colours of series, far apart in hue; more series share them. */
export const COLOURS = 12;

export const style: string = `
:root { color-scheme: light dark; --page: #fff; --text: #1c2024; --quiet: #5f6b76; --line: #d9dee3; --panel: #f5f7f9; --accent: 20, 104, 190; --miss: 204, 82, 20; --s0: hsl(210 70% 40%); --s1: hsl(25 70% 40%); --s2: hsl(140 70% 40%); --s3: hsl(330 70% 40%); --s4: hsl(270 70% 40%); --s5: hsl(55 70% 40%); --s6: hsl(185 70% 40%); --s7: hsl(0 70% 40%); --s8: hsl(95 70% 40%); --s9: hsl(300 70% 40%); --s10: hsl(235 70% 40%); --s11: hsl(40 70% 40%); }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171a; --text: #e6e9ec; --quiet: #9aa5b0; --line: #343b42; --panel: #1d2226; --accent: 88, 166, 240; --miss: 240, 136, 72; --s0: hsl(210 75% 66%); --s1: hsl(25 75% 66%); --s2: hsl(140 75% 66%); --s3: hsl(330 75% 66%); --s4: hsl(270 75% 66%); --s5: hsl(55 75% 66%); --s6: hsl(185 75% 66%); --s7: hsl(0 75% 66%); --s8: hsl(95 75% 66%); --s9: hsl(300 75% 66%); --s10: hsl(235 75% 66%); --s11: hsl(40 75% 66%); }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
.part { min-width: 0; }
@media (min-width: 70rem) {
  main { max-width: 88rem; padding: 1.5rem 2rem 3rem; }
  .parts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); column-gap: 3rem; align-items: start; grid-auto-flow: row dense; }
  .part.wide, .parts .pair { grid-column: 1 / -1; }
}
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .75rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); }
.notice { background: rgba(var(--miss), .12); border-left: 4px solid rgb(var(--miss)); padding: .6rem .9rem; margin: 1rem 0; }
p.answer { background: rgba(var(--accent), .1); border-left: 4px solid rgb(var(--accent)); padding: .6rem .9rem; margin: 1rem 0; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0 0; }
dl.facts > div { background: var(--panel); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
dl.facts > .verdict { grid-column: span 2; border-left: 4px solid var(--quiet); }
dl.facts > .helps { border-color: rgb(var(--accent)); }
dl.facts > .harms { border-color: rgb(var(--miss)); }
dl.facts .why { font-size: .85rem; color: var(--quiet); }
.scroll { overflow-x: auto; }
.scroll.tall { max-height: 30rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.scroll.tall thead th { position: sticky; top: 0; background: var(--page); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: left; border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-weight: 500; font-size: .9rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
thead th.number { white-space: normal; }
td.number:has(.interval) { white-space: normal; }
td .interval { display: block; }
.interval { display: inline-block; white-space: nowrap; font-size: .85em; }
table.settings { width: 100%; }
table.settings th { font-weight: 500; color: var(--quiet); width: 12rem; vertical-align: top; }
table.settings td { overflow-wrap: anywhere; }
table.confusion th, table.confusion td { padding: .3rem .45rem; text-align: center; border: 1px solid var(--page); min-width: 2.1rem; }
table.confusion tbody th { text-align: right; white-space: nowrap; }
.confusion .hit { background: rgba(var(--accent), calc(.06 + .6 * var(--share))); }
.confusion .miss { background: rgba(var(--miss), calc(.85 * var(--share))); }
.confusion .recall { color: var(--quiet); }
svg.curve { display: block; width: 100%; height: auto; max-width: 44rem; }
svg.curve text { fill: var(--quiet); font-size: 12px; }
svg.curve .grid { stroke: var(--line); stroke-width: 1; }
svg.curve path { fill: none; stroke: rgb(var(--accent)); stroke-linejoin: round; }
svg.curve .raw { stroke-opacity: .35; stroke-width: 1; }
svg.curve .smooth { stroke-width: 2.25; }
svg.curve circle { fill: rgb(var(--accent)); }
svg.curve .hit { fill: transparent; }
svg.curve path.held-out { stroke: rgb(var(--miss)); stroke-width: 2; stroke-dasharray: 5 4; }
svg.curve circle.held-out { fill: rgb(var(--miss)); }
.legend .own { color: rgb(var(--accent)); }
.legend .held-out { color: rgb(var(--miss)); }
svg.chart .hits circle { fill-opacity: 0; }
svg.confusion { display: block; width: 100%; height: auto; max-width: 44rem; margin: 0 0 .75rem; }
svg.confusion text { fill: var(--quiet); font-size: var(--font); }
svg.confusion g text { fill: var(--text); }
svg.confusion .hit { fill: rgb(var(--accent)); }
svg.confusion .miss { fill: rgb(var(--miss)); }
svg.confusion .ground { fill: var(--panel); }
svg.chart { display: block; width: 100%; height: auto; max-width: 44rem; }
svg.chart text { fill: var(--quiet); font-size: 12px; }
svg.chart .grid { stroke: var(--line); stroke-width: 1; }
svg.chart path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
svg.chart circle { fill: currentColor; fill-opacity: .75; }
svg.chart rect { fill: currentColor; fill-opacity: .8; }
svg.chart .bar { stroke: currentColor; stroke-width: 1.5; stroke-opacity: .45; }
svg.chart path.front { stroke: var(--quiet); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg.chart .diagonal, svg.chart .zero { stroke: var(--quiet); stroke-width: 1.5; stroke-dasharray: 5 4; }
table.heatmap { border-collapse: separate; border-spacing: 1px; }
table.heatmap th, table.heatmap td { border: 0; padding: 0; text-align: center; font-size: .7rem; line-height: 1.15rem; }
table.heatmap thead th { color: var(--quiet); font-weight: 400; padding: 0 .1rem; vertical-align: bottom; }
table.heatmap thead th:first-child { font-size: .75rem; white-space: nowrap; padding-right: .5rem; }
table.heatmap tbody th, table.heatmap thead th:first-child { position: sticky; left: 0; background: var(--page); z-index: 1; text-align: right; padding-right: .5rem; }
table.heatmap td { min-width: 1.15rem; height: 1.15rem; font-size: 0; position: relative; }
.heatmap td.low { background: rgba(var(--miss), var(--share)); }
.heatmap td.high { background: rgba(var(--accent), var(--share)); }
.heatmap td.none { background: repeating-linear-gradient(45deg, transparent 0 3px, var(--line) 3px 4px); }
.heatmap td.mark::after, .heat-legend .mark { content: ''; position: absolute; inset: 0; margin: auto; width: .4rem; height: .4rem; border-radius: 50%; background: var(--text); }
.heat-legend { display: flex; flex-wrap: wrap; gap: .25rem 2rem; align-items: center; margin: 0 0 .75rem; font-size: .85rem; color: var(--quiet); }
.heat-legend .one-sided, .heat-legend .two-sided { width: 14rem; max-width: 100%; height: .7rem; border-radius: .2rem; background: linear-gradient(90deg, rgba(var(--accent), 0), rgba(var(--accent), 1)); }
.heat-legend .two-sided { background: linear-gradient(90deg, rgba(var(--miss), 1), rgba(var(--miss), 0) 50%, rgba(var(--accent), 0) 50%, rgba(var(--accent), 1)); }
.heat-legend .ends { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
.heat-legend .key { display: inline-flex; align-items: center; gap: .4rem; }
.heat-legend .mark { position: static; display: inline-block; margin: 0; }
.letters { display: grid; gap: .75rem; }
.letters > section { background: var(--panel); border-radius: .5rem; padding: .7rem .9rem .8rem; min-width: 0; position: relative; }
.letters h3 { font-size: .95rem; font-weight: 600; line-height: 1.35; margin: 0 0 .25rem; overflow-wrap: anywhere; }
.letters p { font-size: .85rem; margin: 0 0 .25rem; }
.letters .blocks { display: flex; flex-wrap: wrap; gap: .5rem .7rem; font: .9rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.letters .blocks > div > * { display: block; white-space: pre; }
.letters small { color: var(--quiet); font-size: .68rem; line-height: 1.1; }
.letters b { font-weight: 400; background: rgba(var(--accent), calc(.75 * var(--share))); }
.letters span + span { color: var(--quiet); }
.letters u { color: var(--text); background: rgba(var(--miss), .2); text-decoration-color: rgb(var(--miss)); text-decoration-thickness: 2px; text-underline-offset: .15em; }
svg.logo { display: block; font-family: Arial, Helvetica, 'Liberation Sans', sans-serif; font-weight: 700; }
svg.logo text { fill: currentColor; }
svg.logo .plain { color: var(--text); }
svg.logo .label { fill: var(--quiet); font-size: 11px; font-weight: 400; font-family: system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
svg.logo .grid { stroke: var(--line); stroke-width: 1; }
svg.logo .under { fill: transparent; }
ul.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; margin: .25rem 0; font-size: .9rem; }
ul.legend li.none { color: var(--quiet); }
ul.legend li.none::before { background: none; border: 1px solid currentColor; }
ul.legend li::before { content: ''; display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; background: currentColor; margin-right: .4rem; }
${Array.from({ length: COLOURS }, (_, i) => `.s${i} { color: var(--s${i}); }`).join('\n')}
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .75rem; }
figure { margin: 0; background: var(--panel); border-radius: .5rem; overflow: hidden; }
figure img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: auto; background: rgba(128, 128, 128, .12); }
figure.wide { grid-column: span 2; }
figure.wide img { aspect-ratio: auto; }
figcaption { padding: .4rem .6rem .5rem; font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; white-space: pre-line; }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: .75rem; }
.clips > section { background: var(--panel); border-radius: .5rem; padding: .7rem .9rem .8rem; min-width: 0; }
.clips h3 { font-size: .95rem; font-weight: 600; line-height: 1.35; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.clips audio { display: block; width: 100%; height: 2.25rem; margin: 0 0 .5rem; }
.clips dl { margin: 0; }
.clips dl > div { display: grid; grid-template-columns: 5rem 1fr; gap: .5rem; padding: .2rem 0; }
.clips dt { padding-top: .12rem; overflow-wrap: anywhere; }
.clips dd { font-size: 1rem; line-height: 1.6; }
mark { color: inherit; background: none; border-radius: .2rem; padding: .05em .2em; margin: 0 -.05em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
mark.wrong { background: rgba(var(--miss), .16); text-decoration: underline; text-decoration-color: rgb(var(--miss)); text-decoration-thickness: 2px; text-underline-offset: .2em; }
mark.missing { color: var(--quiet); text-decoration: line-through; outline: 1px dashed currentColor; outline-offset: -1px; }
mark.extra { background: rgba(var(--accent), .16); text-decoration: underline dotted; text-decoration-color: rgb(var(--accent)); text-decoration-thickness: 2px; text-underline-offset: .2em; }
mark.extra::before { content: '+'; }
mark.named { color: var(--text); background: color-mix(in srgb, var(--own) 18%, transparent); box-shadow: inset 0 0 0 1px var(--own); }
mark.named small { border-left: 3px solid var(--own); padding-left: .3em; font-size: .72em; font-weight: 600; }
mark.named .missing { color: inherit; }
ul.marks { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: .5rem 0 .75rem; font-size: .9rem; color: var(--quiet); }
ul.marks mark { color: var(--text); }
ul.marks mark.missing { color: var(--quiet); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; user-select: none; }
details { margin-top: 1rem; }
summary { cursor: pointer; }
pre { background: var(--panel); border-radius: .5rem; padding: .8rem 1rem; overflow-x: auto; font: .9rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
pre .whole { display: inline-block; max-width: 100%; vertical-align: top; }
@media (max-width: 40rem) { table.confusion th, table.confusion td { padding: .2rem .15rem; min-width: 1.5rem; font-size: .85rem; } svg.curve text, svg.chart text { font-size: 17px; } table.settings th { width: 8rem; } .clips dl > div { grid-template-columns: 4.25rem 1fr; } th, td { padding: .3rem .25rem; font-size: .9rem; } .interval { white-space: normal; } }
@media print { main { max-width: none; } .scroll.tall { max-height: none; } .clips audio { display: none; } .clips > section { break-inside: avoid; } }
`;
