// A table of any length: only the rows in sight are in the page. One stop of the Tab key; arrows, Page, Home and End move, the window does the rest.
import { el } from './explorer.js';

export const ROW = 28;                                  // px, height of a row

export function inSight(top, height, count, spare = 3) { // [first, last) of the rows to be drawn
  const first = Math.max(0, Math.floor(top / ROW) - spare);
  return [Math.min(first, count), Math.min(count, Math.ceil((top + height) / ROW) + spare)];
}

export function moved(key, at, count, page) {           // where a key leads to, or null
  const to = {ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: count - 1}[key];
  return to === undefined || !count ? null : Math.max(0, Math.min(count - 1, to));
}

let tableCount = 0;
const tableId = `axt-${Math.random().toString(36).slice(2, 8)}`;

export class Table {
  // columns: [{key, label, wide, right, sorts}]; cell(position, key): text, or an element; onmove(position, by), onkey(event), onsort(key)
  constructor(parent, {columns, testid, label, height = 280, cell, onmove = () => {}, onkey = () => {}, onsort = null}) {
    Object.assign(this, {columns, cell, onmove, onkey, onsort, height, count: 0, at: -1, top: 0, room: height, id: `${tableId}-${++tableCount}`});
    this.grid = el('div', {className: 'ax-table', role: 'grid', tabIndex: 0, 'aria-label': label, dataset: {testid, key: testid}});
    this.grid.style.setProperty('--ax-columns', columns.map(c => c.wide).join(' '));
    this.heads = columns.map((c, i) => {
      const inner = onsort && c.sorts !== false ? el('button', {type: 'button', dataset: {key: `sort-${c.key}`}, onclick: () => onsort(c.key)}, c.label) : el('span', {}, c.label);
      return el('div', {role: 'columnheader', className: c.right ? 'ax-cell ax-right' : 'ax-cell', 'aria-colindex': i + 1}, inner);
    });
    this.body = el('div', {role: 'rowgroup', className: 'ax-rows'});
    this.grid.append(el('div', {role: 'rowgroup', className: 'ax-heads'}, el('div', {role: 'row', className: 'ax-tr', 'aria-rowindex': 1}, ...this.heads)), this.body);
    this.grid.addEventListener('scroll', () => { this.top = this.grid.scrollTop; this.due ??= requestAnimationFrame(() => { this.due = null; this.draw(); }); }, {passive: true});
    this.grid.addEventListener('keydown', e => this.key(e));
    this.body.addEventListener('click', e => { const row = e.target.closest('[role=row]'); if (row) { this.grid.focus({preventScroll: true}); this.onmove(+row.dataset.at, 'click', e); } });
    parent.append(this.grid);
  }
  key(e) {
    if (e.target !== this.grid) return;
    const at = this.next ?? this.at, to = moved(e.key, at, this.count, Math.max(1, Math.floor(this.height / ROW) - 2)); // `next`: chosen, not painted yet
    if (to !== null) { e.preventDefault(); if (to !== at) { this.next = to; this.onmove(to, 'key', e); } } else this.onkey(e);
  }
  fill(count, at, {sort = '', descending = false, list = ''} = {}) { // how many rows, which one is chosen (-1: none), the order; `list`: tells these rows from others
    const far = at !== this.at, other = this.list !== undefined && this.list !== list;
    this.list = list; this.next = null;
    this.count = count; this.at = at;
    const tall = Math.min(this.height, Math.max(5, count + 1) * ROW + 4);
    this.room = tall - ROW - 3; this.grid.style.height = `${tall}px`; this.body.style.height = `${count * ROW}px`; this.grid.setAttribute('aria-rowcount', count + 1);
    this.columns.forEach((c, i) => { if (this.onsort && c.sorts !== false) this.heads[i].setAttribute('aria-sort', c.key !== sort ? 'none' : descending ? 'descending' : 'ascending'); });
    if (other) { if (this.top) this.scroll(0); } else if (far && at >= 0) this.reveal(at);
    this.draw();
  }
  scroll(to) { this.grid.scrollTop = to; this.top = this.grid.scrollTop; }
  reveal(at) {
    const y = at * ROW;
    if (y < this.top) this.scroll(y); else if (y + ROW > this.top + this.room) this.scroll(y + ROW - this.room);
  }
  draw() {                                              // reads nothing of the page's layout: that would be made anew for each reading
    const [a, b] = inSight(this.top, this.room, this.count), rows = [];
    for (let i = a; i < b; i++) {
      const here = i === this.at, row = el('div', {role: 'row', id: `${this.id}-${i}`, className: here ? 'ax-tr ax-chosen' : 'ax-tr', 'aria-rowindex': i + 2,
        'aria-selected': String(here), dataset: {at: i}}, ...this.columns.map((c, k) => {
          const inner = this.cell(i, c.key);
          return el('div', {role: 'gridcell', 'aria-colindex': k + 1, className: c.right ? 'ax-cell ax-right' : 'ax-cell', title: typeof inner === 'string' ? inner : ''}, inner);
        }));
      row.style.top = `${i * ROW}px`; rows.push(row);
    }
    this.body.replaceChildren(...rows);
    if (this.at >= a && this.at < b) this.grid.setAttribute('aria-activedescendant', `${this.id}-${this.at}`); else this.grid.removeAttribute('aria-activedescendant');
    this.seen = [a, b];
  }
}
