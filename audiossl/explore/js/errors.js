// The look of the event viewer, beside window.css: only this window carries it.
export const ERRORS_LOOK = `
.ax-key { display: flex; flex-wrap: wrap; gap: 2px 16px; color: var(--ax-soft); font-size: 12px; padding: 2px 0 0 54px; }
.ax-swatch { display: inline-block; width: 18px; height: 10px; margin-right: 5px; border: 2px solid var(--ax-accent); background: var(--ax-accent); vertical-align: -1px; }
.ax-missed { border-color: var(--ax-missed); background: repeating-linear-gradient(45deg, var(--ax-missed) 0 1.5px, transparent 1.5px 5px); }
.ax-found { border-color: var(--ax-found); background: var(--ax-found); }
.ax-false { border-color: var(--ax-cursor); background: repeating-linear-gradient(-45deg, var(--ax-cursor) 0 1.5px, transparent 1.5px 5px); }
.ax { --ax-missed: #a8427f; --ax-found: #007a58; }
.ax.ax-dark { --ax-missed: #e79ac6; --ax-found: #35c79b; }
.ax-level { position: absolute; height: 0; border-top: 1.5px dashed var(--ax-text); pointer-events: none; }
.ax-level span { position: absolute; left: 100%; top: 0; transform: translateY(-50%); padding-left: 3px; font: 11px system-ui, sans-serif; white-space: nowrap; }
.ax-scroll { overflow: auto; contain: content; border: 1px solid var(--ax-line); border-radius: 6px; }
.ax-head2 { color: var(--ax-soft); font-size: 12px; margin: 4px 0 2px; }
.ax-rows { border-collapse: collapse; width: 100%; font-size: 12px; font-variant-numeric: tabular-nums; margin: 0; color: var(--ax-text); border: 0; }
.ax-rows th, .ax-rows td { padding: 1px 8px; text-align: right; white-space: nowrap; border: 0; max-width: 220px; overflow: hidden; text-overflow: ellipsis; background: transparent; }
.ax-rows thead th { position: sticky; top: 0; background: var(--ax-plate); color: var(--ax-soft); font-weight: 600; z-index: 1; }
.ax-rows tbody th { text-align: left; font-weight: 600; }
.ax-rows th:first-child, .ax-words td:nth-child(-n+4), .ax-words th:nth-child(-n+4) { text-align: left; }
.ax-even { grid-template-columns: repeat(auto-fit, minmax(188px, 1fr)); margin: 0 0 6px; }
.ax-rows thead button { border: 0; background: none; padding: 0 2px; min-height: 22px; font-weight: 600; }
.ax-rows tbody button { border: 0; background: none; padding: 0 2px; min-height: 22px; color: var(--ax-accent); }
.ax-rows tbody tr:hover, .ax-rows tr[aria-current="true"] { background: var(--ax-select); }
.ax-words { table-layout: fixed; }
.ax-rows .ax-sum { border-top: 1px solid var(--ax-line); }
.ax-more { color: var(--ax-soft); padding: 3px 8px; font-size: 12px; }
`;
