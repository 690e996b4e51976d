/** The whole style of the reference page; it names nothing outside of itself. Every text has a contrast of 4.5 at least in both schemes. */
export const REFERENCE_STYLE = `
:root {
  color-scheme: light dark;
  --page: #fff; --panel: #f6f7f9; --line: #dfe3e8; --text: #1b2430; --quiet: #566173; --link: #0b57b4; --mark: #fff4cc;
  --get: #0b6b43; --post: #0b57b4; --put: #8a4b00; --delete: #a9222a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11161d; --panel: #181f29; --line: #2d3745; --text: #e3e8ef; --quiet: #a3afbf; --link: #7db4ff; --mark: #3d3610;
    --get: #5fd39b; --post: #7db4ff; --put: #f0b264; --delete: #ff9195;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; background: var(--page); color: var(--text); scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; display: grid; grid-template-columns: 19rem minmax(0, 1fr); }
a { color: var(--link); text-underline-offset: .2em; }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 2px; }
code { font: .9em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.skip { position: absolute; left: -100rem; background: var(--page); padding: .5rem 1rem; z-index: 1; }
.skip:focus { left: 1rem; top: 1rem; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 3rem 1.5rem; background: var(--panel); border-right: 1px solid var(--line); font-size: .875rem; }
nav p { margin: 0 0 .25rem; font-size: 1.125rem; font-weight: 700; }
nav h2 { margin: 1.5rem 0 .25rem; font-size: .875rem; font-weight: 650; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: grid; grid-template-columns: 3.25rem minmax(0, 1fr); gap: .25rem; align-items: baseline; padding: .2rem .25rem; text-decoration: none; color: var(--text); line-height: 1.35; }
nav li a:hover { text-decoration: underline; }
nav li a.plain { display: block; }
main { padding: 2.5rem clamp(1rem, 4vw, 4rem) 6rem; max-width: 64rem; }
h1 { margin: 0 0 .5rem; font-size: 2rem; line-height: 1.2; }
h1 small { font-size: 1rem; font-weight: 400; color: var(--quiet); }
.lead { font-size: 1.125rem; max-width: 44rem; margin: 0 0 1rem; }
main > section > h2 { margin: 4rem 0 .25rem; padding-bottom: .5rem; border-bottom: 1px solid var(--line); font-size: 1.5rem; }
.quiet { color: var(--quiet); }
article { margin-top: 2rem; padding: 1.25rem 1.5rem 1.5rem; background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; }
article:target { background: var(--mark); }
article h3 { margin: 0; font-size: 1.0625rem; line-height: 1.4; }
article h3 a { color: inherit; text-decoration: none; }
article h3 a:hover { text-decoration: underline; }
article h4 { margin: 1.25rem 0 .25rem; font-size: .9375rem; }
article > p { margin: .35rem 0 0; }
.method { font: 700 .8125rem/1 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
.who { font-size: .9375rem; }
ul.fields { list-style: none; margin: 0; padding: 0; font-size: .9375rem; }
ul.fields ul.fields { margin: .35rem 0 .15rem .25rem; padding-left: .9rem; border-left: 2px solid var(--line); font-size: 1em; }
ul.fields > li { padding: .2rem 0; }
ul.fields b { font-weight: 650; }
.tablewrap { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 650; }
td:first-child { white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
@media (max-width: 56rem) {
  body { display: block; }
  nav { position: static; height: auto; max-height: 45vh; border-right: 0; border-bottom: 1px solid var(--line); }
  article { padding: 1rem; }
}
@media (forced-colors: active) { article, nav { border-color: CanvasText; } }
@media print {
  body { display: block; } nav, .skip { display: none; } main { max-width: none; padding: 0; } article { break-inside: avoid; background: none; }
}
`
