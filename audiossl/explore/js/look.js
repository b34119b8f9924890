// The look of tables, bars and tabs, beside window.css: only the windows that have them carry it.
export const LOOK = `
.ax-flush { padding-left: 0; }
.ax-wrap { flex-wrap: wrap; }
.ax-tabs { display: flex; gap: 4px; margin: 6px 0 8px; border-bottom: 1px solid var(--ax-line); }
.ax .ax-tabs button { border-color: transparent; border-bottom: 2px solid transparent; border-radius: 6px 6px 0 0; background: none; }
.ax .ax-tabs button[aria-selected="true"] { border-bottom-color: var(--ax-accent); font-weight: 650; }
.ax-bars { height: 150px; margin-bottom: 8px; overflow-y: auto; border: 1px solid var(--ax-line); border-radius: 6px; padding: 2px 0; }
.ax-bar { display: grid; grid-template-columns: minmax(70px, 34%) 1fr 78px; gap: 8px; align-items: center; padding: 1px 8px; cursor: pointer; font-size: 12px; }
.ax-bar-name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: isolate; }
.ax-bar-track { position: relative; height: 11px; }
.ax-bar-track i { position: absolute; left: 0; top: 0; bottom: 0; border-radius: 2px; min-width: 1px; }
.ax-bar-all { background: var(--ax-line); }
.ax-bar-own { background: var(--ax-accent); }
.ax-bar-count { text-align: right; font-variant-numeric: tabular-nums; color: var(--ax-soft); }
.ax-bar:hover, .ax-bars:focus-visible .ax-at { background: var(--ax-select); }
.ax-bar[aria-selected="true"] { background: var(--ax-select); font-weight: 650; }
.ax-whole { grid-template-columns: 1fr; }
.ax input[type="search"] { font: inherit; color: var(--ax-text); background: var(--ax-button); border: 1px solid var(--ax-line); border-radius: 6px; padding: 2px 6px; min-height: 26px; width: 100%; margin: 0; }
.ax-listed { color: var(--ax-soft); margin: 6px 0 3px; font-variant-numeric: tabular-nums; }
.ax-table { overflow: auto; border: 1px solid var(--ax-line); border-radius: 6px; position: relative; font-size: 12px; }
.ax-heads { position: sticky; top: 0; z-index: 1; background: var(--ax-plate); border-bottom: 1px solid var(--ax-line); }
.ax-rows { position: relative; }
.ax-tr { display: grid; grid-template-columns: var(--ax-columns); gap: 12px; height: 28px; align-items: center; padding: 0 8px; }
.ax-rows .ax-tr { position: absolute; left: 0; right: 0; cursor: default; }
.ax-rows .ax-tr:hover { background: var(--ax-plate); }
.ax-rows .ax-chosen, .ax-rows .ax-chosen:hover { background: var(--ax-select); }
.ax-cell { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; unicode-bidi: isolate; font-variant-numeric: tabular-nums; }
.ax-right { text-align: right; }
.ax .ax-heads button { border: 0; background: none; padding: 0; min-height: 20px; font-weight: 650; }
.ax-heads [aria-sort="ascending"] button::after { content: " ▲"; font-size: 9px; }
.ax-heads [aria-sort="descending"] button::after { content: " ▼"; font-size: 9px; }
.ax-proof { margin-top: 8px; }
.ax-about { margin-top: 8px; }
.ax-go { color: var(--ax-accent); cursor: pointer; padding: 4px; }
.ax-said { margin: 4px 0 8px; }
.ax-matrix table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0 18px 14px 0; }
.ax-matrix caption { text-align: left; white-space: nowrap; color: var(--ax-soft); padding-bottom: 4px; }
.ax-matrix th, .ax-matrix td { border: 1px solid var(--ax-line); padding: 3px 10px; text-align: right; min-width: 44px; font-weight: 400; }
.ax-matrix .ax-own { background: var(--ax-plate); }
.ax-matrix .ax-leak { background: var(--ax-hot-back); }
.ax-matrix .ax-leak button { color: var(--ax-hot); border-color: var(--ax-hot); font-weight: 650; }
`;
