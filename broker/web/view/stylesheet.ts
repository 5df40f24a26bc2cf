/** Of every page. One accent, system fonts, both schemes; everything breaks rather than scrolls sideways. */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --page: #f5f7f9; --surface: #fff; --raised: #eef2f5; --line: #d3dae1; --edge: #7b8794;
  --text: #14191f; --soft: #4d5864; --accent: #0b5f8a; --accent-strong: #094d70; --on-accent: #fff;
  --good: #14663c; --good-soft: #e2f4e9; --warn: #7a4b00; --warn-soft: #fdf1d8; --bad: #a3211c; --bad-soft: #fdeaea; --info: #0b5f8a; --info-soft: #e3f1f9;
  --shadow: 0 1px 2px rgb(15 30 45 / 8%), 0 2px 8px rgb(15 30 45 / 5%);
  --radius: 0.625rem;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1318; --surface: #161c23; --raised: #1f2730; --line: #2d3742; --edge: #7d8a98;
    --text: #e7ecf1; --soft: #a3afbb; --accent: #6cbde8; --accent-strong: #93d0f1; --on-accent: #06202e;
    --good: #76d69d; --good-soft: #123020; --warn: #f0bf62; --warn-soft: #35270c; --bad: #ff9d96; --bad-soft: #3c1715; --info: #86caef; --info-soft: #10293a;
    --shadow: none;
  }
}
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
html { font: 100%/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; background: var(--page); color: var(--text); overflow-wrap: anywhere; }
h1, h2, h3, p, ul, ol, dl, dd, figure, fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
h1 { font-size: clamp(1.5rem, 1.2rem + 1.2vw, 2rem); line-height: 1.2; letter-spacing: -0.015em; text-wrap: balance; }
h2 { font-size: 1.2rem; line-height: 1.3; letter-spacing: -0.005em; }
h3 { font-size: 1rem; line-height: 1.4; }
ul, ol { list-style: none; }
a { color: var(--accent); text-underline-offset: 0.18em; }
a:hover { color: var(--accent-strong); }
code, pre, kbd { font-family: var(--mono); font-size: 0.925em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
main:focus { outline: none; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: 1rem; top: -4rem; z-index: 2; padding: 0.6rem 1rem; background: var(--accent); color: var(--on-accent); border-radius: var(--radius); }
.skip:focus { top: 0.75rem; color: var(--on-accent); }
.soft { color: var(--soft); }
.small { font-size: 0.9rem; }
.stack { display: grid; gap: 1.25rem; grid-template-columns: minmax(0, 1fr); align-content: start; }
.stack-tight { display: grid; gap: 0.6rem; grid-template-columns: minmax(0, 1fr); align-content: start; }
.row { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; }
.apart { justify-content: space-between; }

.bar { background: var(--surface); border-bottom: 1px solid var(--line); }
.bar-inside { max-width: 86rem; margin: 0 auto; padding: 0.55rem clamp(1rem, 3vw, 2rem); display: flex; flex-wrap: wrap; align-items: center; gap: 0.35rem 1.5rem; }
.brand { display: inline-flex; align-items: center; gap: 0.5rem; min-height: 2.25rem; color: var(--text); font-weight: 650; font-size: 1.1rem; text-decoration: none; letter-spacing: -0.01em; }
.brand:hover { color: var(--accent); }
.mark { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.15rem; }
nav a { display: inline-flex; align-items: center; min-height: 2.25rem; padding: 0 0.7rem; border-radius: 0.5rem; color: var(--soft); text-decoration: none; font-weight: 500; }
nav a:hover { background: var(--raised); color: var(--text); }
nav a[aria-current] { color: var(--accent); background: var(--info-soft); }
.me { margin-left: auto; display: flex; flex-wrap: wrap; align-items: center; gap: 0.6rem; min-width: 0; }
.me-name { max-width: 16rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--soft); font-size: 0.925rem; }

main { flex: 1; width: 100%; max-width: 86rem; margin: 0 auto; padding: clamp(1.5rem, 4vw, 2.5rem) clamp(1rem, 3vw, 2rem) 3rem; display: grid; gap: 1.75rem; grid-template-columns: minmax(0, 1fr); align-content: start; }
.title { display: grid; gap: 0.4rem; grid-template-columns: minmax(0, 1fr); max-width: 60rem; }
.lead { color: var(--soft); font-size: 1.05rem; max-width: 46rem; text-wrap: pretty; }
.foot { border-top: 1px solid var(--line); color: var(--soft); font-size: 0.875rem; }
.foot p { max-width: 86rem; margin: 0 auto; padding: 1rem clamp(1rem, 3vw, 2rem); }

.card { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); box-shadow: var(--shadow); padding: clamp(1rem, 2.5vw, 1.4rem); display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); align-content: start; }
.card-head { display: flex; flex-wrap: wrap; gap: 0.4rem 1rem; align-items: baseline; justify-content: space-between; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.two { display: grid; gap: 1.25rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 62rem) { .two { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }

.badge { display: inline-flex; align-items: center; gap: 0.3rem; max-width: 100%; padding: 0.05rem 0.55rem; border: 1px solid transparent; border-radius: 1rem; font-size: 0.8125rem; font-weight: 550; line-height: 1.5; background: var(--raised); color: var(--text); }
.badge, .button-small { white-space: nowrap; }
.button, .badge, time { overflow-wrap: normal; }
.badge-good { background: var(--good-soft); color: var(--good); }
.badge-warn { background: var(--warn-soft); color: var(--warn); }
.badge-bad { background: var(--bad-soft); color: var(--bad); }
.badge-info { background: var(--info-soft); color: var(--info); }
@media (forced-colors: active) { .badge, .notice, .button { border: 1px solid; } }

.button { display: inline-flex; align-items: center; justify-content: center; gap: 0.4rem; min-height: 2.5rem; padding: 0.4rem 1rem; border: 1px solid var(--accent); border-radius: 0.5rem; background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 550; line-height: 1.3; text-align: center; text-decoration: none; cursor: pointer; transition: background-color 0.12s, border-color 0.12s; }
.button:hover { background: var(--accent-strong); border-color: var(--accent-strong); color: var(--on-accent); }
.button-plain { background: var(--surface); color: var(--text); border-color: var(--edge); }
.button-plain:hover { background: var(--raised); color: var(--text); border-color: var(--text); }
.button-quiet { min-height: 2.25rem; padding: 0.25rem 0.75rem; background: transparent; color: var(--text); border-color: var(--line); font-weight: 500; }
.button-quiet:hover { background: var(--raised); color: var(--text); border-color: var(--edge); }
.button-danger { background: var(--bad); border-color: var(--bad); color: var(--surface); }
.button-danger:hover { filter: brightness(0.92); background: var(--bad); border-color: var(--bad); color: var(--surface); }
.button-small { min-height: 2rem; padding: 0.15rem 0.7rem; font-size: 0.9rem; }
.button-large { min-height: 3rem; padding: 0.6rem 1.6rem; font-size: 1.05rem; }

.notice { display: grid; gap: 0.3rem; padding: 0.85rem 1.1rem; border-radius: var(--radius); background: var(--info-soft); border-left: 4px solid var(--info); grid-template-columns: minmax(0, 1fr); }
.notice-good { background: var(--good-soft); border-color: var(--good); }
.notice-warn { background: var(--warn-soft); border-color: var(--warn); }
.notice-bad { background: var(--bad-soft); border-color: var(--bad); }

.command { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: flex-start; }
.command code { flex: 1 1 9.5rem; min-height: 2.5rem; min-width: 0; padding: 0.6rem 0.85rem; border: 1px solid var(--line); border-radius: 0.5rem; background: var(--raised); white-space: pre-wrap; user-select: all; }
.command .button { flex: none; }

.tabs { display: flex; flex-wrap: wrap; gap: 0.25rem 0.25rem; }
.tabs legend { padding: 0; margin-bottom: 0.5rem; font-weight: 550; }
.tabs > label { display: inline-flex; align-items: center; min-height: 2.25rem; padding: 0 0.9rem; border: 1px solid var(--edge); border-radius: 2rem; cursor: pointer; font-weight: 500; font-size: 0.95rem; }
.tabs > label:hover { background: var(--raised); }
.tabs > input { position: absolute; width: 1px; height: 1px; opacity: 0; }
.tabs > input:checked + label { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.tabs > input:focus-visible + label { outline: 3px solid var(--accent); outline-offset: 2px; }
.tabs > .tab { display: none; flex: 1 0 100%; min-width: 0; margin-top: 0.75rem; order: 1; }
.tabs > input:nth-of-type(1):checked ~ .tab-1, .tabs > input:nth-of-type(2):checked ~ .tab-2, .tabs > input:nth-of-type(3):checked ~ .tab-3, .tabs > input:nth-of-type(4):checked ~ .tab-4 { display: block; }
@media (forced-colors: active) { .tabs > input:checked + label { outline: 2px solid; } }

.steps { counter-reset: step; display: grid; gap: 1.1rem; grid-template-columns: minmax(0, 1fr); }
.steps > li { counter-increment: step; display: grid; grid-template-columns: 2rem minmax(0, 1fr); gap: 0.2rem 0.75rem; }
.steps > li::before { content: counter(step); display: grid; place-items: center; width: 1.75rem; height: 1.75rem; border-radius: 50%; background: var(--info-soft); color: var(--info); font-weight: 650; font-size: 0.9rem; }
.steps > li > div { display: grid; gap: 0.5rem; grid-template-columns: minmax(0, 1fr); padding-top: 0.1rem; }

.facts { display: grid; gap: 0.5rem 1.25rem; grid-template-columns: minmax(0, 1fr); }
.facts dt { color: var(--soft); font-size: 0.875rem; }
.facts > div { display: grid; align-content: start; gap: 0.05rem; grid-template-columns: minmax(0, 1fr); }
.facts-wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 12rem), 1fr)); }

.list { display: grid; gap: 0.35rem; grid-template-columns: minmax(0, 1fr); }
.list > li { padding-left: 1.1rem; position: relative; }
.list > li::before { content: ''; position: absolute; left: 0.15rem; top: 0.65em; width: 0.4rem; height: 0.4rem; border-radius: 50%; background: var(--accent); }

.table-frame { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); box-shadow: var(--shadow); overflow: clip; }
table { width: 100%; border-collapse: collapse; font-size: 0.95rem; }
th, td { padding: 0.65rem 0.9rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { background: var(--raised); font-size: 0.85rem; font-weight: 600; color: var(--soft); white-space: nowrap; }
thead a { color: inherit; display: inline-flex; align-items: center; gap: 0.25rem; min-height: 1.5rem; }
tbody tr:last-child > * { border-bottom: 0; }
tbody tr:hover { background: color-mix(in srgb, var(--raised) 45%, transparent); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td .stack-tight, th .stack-tight { gap: 0.1rem; }
th .soft { font-weight: 400; }
tbody th[scope='row'] { min-width: 10rem; }
td.alone { width: 1%; }
@media (max-width: 48rem) {
  .table-frame { background: none; border: 0; box-shadow: none; }
  table, tbody, tr, td, th { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  thead:focus-within { position: static; width: auto; height: auto; clip-path: none; }
  tbody tr { margin-bottom: 0.9rem; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); box-shadow: var(--shadow); padding: 0.35rem 0; }
  td, th[scope='row'] { display: grid; grid-template-columns: minmax(5.5rem, 32%) minmax(0, 1fr); gap: 0.75rem; border-bottom: 0; padding: 0.35rem 1rem; text-align: left; }
  td::before, th[scope='row']::before { content: attr(data-label); color: var(--soft); font-size: 0.875rem; font-weight: 400; }
  td.alone { display: block; }
  td.alone::before { content: none; }
  .number { text-align: left; }
}
@media (max-width: 24rem) { td, th[scope='row'] { grid-template-columns: minmax(0, 1fr); gap: 0.05rem; } }

.fields { display: flex; flex-wrap: wrap; gap: 0.75rem 1rem; align-items: end; }
.field { display: grid; gap: 0.25rem; grid-template-columns: minmax(0, 1fr); flex: 1 1 12rem; min-width: min(100%, 10rem); }
.fields > .wide { flex: 1 0 100%; order: 1; }
.fields .field { max-width: 26rem; }
.field > label, .field > .label { font-size: 0.9rem; font-weight: 550; }
.field > .hint { color: var(--soft); font-size: 0.875rem; }
input:not([type='radio'], [type='checkbox'], [type='hidden']), select, textarea { width: 100%; min-height: 2.5rem; padding: 0.45rem 0.7rem; border: 1px solid var(--edge); border-radius: 0.5rem; background: var(--surface); color: var(--text); font: inherit; }
textarea { min-height: 9rem; font-family: var(--mono); font-size: 0.9rem; resize: vertical; }
input::placeholder, textarea::placeholder { color: var(--soft); opacity: 1; }

details.confirm > summary { list-style: none; display: inline-flex; }
details.confirm > summary::-webkit-details-marker { display: none; }
details.confirm[open] > summary { margin-bottom: 0.6rem; }
details.confirm > form { display: grid; gap: 0.6rem; justify-items: start; padding: 0.8rem 0.9rem; border: 1px solid var(--line); border-left: 4px solid var(--bad); border-radius: 0.5rem; background: var(--surface); }
details.more > summary { cursor: pointer; min-height: 2rem; color: var(--accent); font-weight: 550; display: list-item; padding: 0.25rem 0; }

.empty { display: grid; gap: 0.9rem; justify-items: center; text-align: center; padding: clamp(1.75rem, 6vw, 3.5rem) 1.25rem; background: var(--surface); border: 1px dashed var(--edge); border-radius: var(--radius); grid-template-columns: minmax(0, 1fr); }
.empty > * { max-width: 42rem; }
.pager { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; justify-content: space-between; }
.cards > li { display: grid; grid-template-columns: minmax(0, 1fr); }
.points .card { border-top: 3px solid var(--accent); }

@media (prefers-reduced-motion: reduce) { *, ::before, ::after { transition: none !important; animation: none !important; scroll-behavior: auto !important; } }
@media (max-width: 30rem) { .me { margin-left: 0; width: 100%; justify-content: space-between; } .me-name { flex: 1; max-width: none; } nav { width: 100%; order: 3; } }
@media print { .bar, .foot, .button, .skip { display: none; } }
`;
