// A table whose rows come and go while somebody reads it.
//
// Laws
// 1. A row is known by its key: what stays is changed in place, so focus and selection stay where they are.
// 2. While the pointer is over the rows, or the focus is in one, they keep their order: what is about to be clicked
//    does not move away. New rows come last then. Another column is obeyed at once.
// 3. The row that has the focus is never moved, which would take it away; when it ends, its neighbour has it.

import { make, mark, write } from "./words.js";

/** Let `parent` have these children in this order, the one with the focus staying where it is. */
export function arrange(parent, wanted) {
  const chosen = document.activeElement;
  const kept = wanted.findIndex((each) => each.contains(chosen));
  const pivot = kept < 0 ? null : wanted[kept];
  const stay = new Set(wanted);
  for (const child of [...parent.children]) if (!stay.has(child)) child.remove();
  let next = pivot;
  for (let at = (pivot ? kept : wanted.length) - 1; at >= 0; at--) {
    const each = wanted[at];
    if (each.nextElementSibling !== next || each.parentNode !== parent) parent.insertBefore(each, next);
    next = each;
  }
  let before = pivot;
  for (let at = kept + 1; pivot && at < wanted.length; at++) {
    if (wanted[at].previousElementSibling !== before) parent.insertBefore(wanted[at], before.nextElementSibling);
    before = wanted[at];
  }
}

/** A table. See `LiveTable`. */
export class LiveTable {
  /**
   * A column is { id, name, left, text(row), value(row), hint(row) }, or has `cell(row)`, which makes what its cell
   * holds, and `renew(cell, row)`. One that is `rare` is there only while some row has a text in it. Numbers are sorted
   * from the largest on, those of a column with `up` from the smallest. `look(line, row)` marks a row. `stops`: rows
   * can be chosen by keys.
   */
  constructor({ caption, columns, key, look = null, stops = false, sorted = columns[0].id }) {
    Object.assign(this, { columns, key, look, stops });
    this.lines = new Map();
    this.order = { id: sorted, down: false };
    this.resort = true;
    this.over = false;
    this.heads = columns.map((column) => this.head(column));
    this.body = make("tbody", {
      pointerenter: () => (this.over = true),
      pointerleave: () => (this.over = false),
    });
    const head = make("thead", {}, make("tr", {}, ...this.heads));
    this.table = make("table", {}, make("caption", { class: "unseen" }, caption), head, this.body);
    this.element = make("div", { class: "wide" }, this.table);
    this.tell();
  }

  head(column) {
    const classes = [column.left ? "left" : "", `c-${column.id}`].join(" ").trim();
    if (!column.value) return make("th", { scope: "col", class: classes }, make("span", {}, column.name));
    const click = () => this.sort(column.id);
    const button = make("button", { type: "button", title: column.title, click }, column.name);
    return make("th", { scope: "col", class: classes }, button);
  }

  /** By this column; the same again: the other way round. */
  sort(id) {
    const column = this.columns.find((each) => each.id === id);
    const down = this.order.id === id ? !this.order.down : !column.left && !column.up;
    this.order = { id, down };
    this.resort = true;
    this.tell();
    if (this.rows) this.show(this.rows);
  }

  /** By the next column that is there; its name. */
  next() {
    const sortable = this.columns.filter((column, at) => column.value && !this.heads[at].hidden);
    const at = sortable.findIndex((column) => column.id === this.order.id);
    const column = sortable[(at + 1) % sortable.length];
    this.sort(column.id);
    return column.name;
  }

  tell() {
    this.columns.forEach((column, at) => {
      if (!column.value) return;
      const sort = column.id !== this.order.id ? "none" : this.order.down ? "descending" : "ascending";
      mark(this.heads[at], "aria-sort", sort);
    });
  }

  show(rows) {
    this.rows = rows;
    const keys = new Set(rows.map(this.key));
    this.leave(keys);
    for (const row of rows) this.renew(row);
    this.columns.forEach(({ rare, text }, at) => rare && this.showColumn(at, rows.some((row) => text(row) !== "")));
    const held = !this.resort && (this.over || this.body.contains(document.activeElement));
    arrange(this.body, (held ? this.kept(keys) : this.sorted(rows)).map((key) => this.lines.get(key).line));
    this.resort = false;
    this.rove();
  }

  showColumn(at, shown) {
    this.heads[at].hidden = !shown;
    for (const { cells } of this.lines.values()) cells[at].hidden = !shown;
  }

  /** Rows that are not there any more. */
  leave(keys) {
    for (const [key, { line }] of this.lines) {
      if (keys.has(key)) continue;
      if (line.contains(document.activeElement)) (line.nextElementSibling ?? line.previousElementSibling)?.focus();
      line.remove();
      this.lines.delete(key);
    }
  }

  kept(keys) {
    const there = [...this.body.children].map((line) => line.dataset.key);
    const known = new Set(there);
    return [...there, ...[...keys].map(String).filter((key) => !known.has(key))];
  }

  sorted(rows) {
    const { value } = this.columns.find((column) => column.id === this.order.id);
    const sign = this.order.down ? -1 : 1;
    const missing = (each) => each === null || each === undefined || each === "" || Number.isNaN(each);
    const compare = (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (missing(a) || missing(b)) return missing(a) - missing(b);
      return sign * (typeof a === "string" ? a.localeCompare(String(b)) : a - b);
    };
    return [...rows].sort(compare).map(this.key);
  }

  renew(row) {
    const key = this.key(row);
    const known = this.lines.get(key) ?? this.born(key, row);
    known.row = row;
    this.columns.forEach((column, at) => {
      const cell = known.cells[at];
      if (column.cell) column.renew?.(cell, row);
      else write(cell, column.text(row));
      if (column.hint) mark(cell, "title", column.hint(row) || null);
    });
    this.look?.(known.line, row);
  }

  born(key, row) {
    const cells = this.columns.map((column) => {
      const classes = [column.left ? "left" : "", `c-${column.id}`].join(" ").trim();
      const cell = make("td", { class: classes, "data-name": column.name });
      if (column.cell) cell.append(...column.cell(row));
      return cell;
    });
    const line = make("tr", { "data-key": key, class: this.stops ? "stop" : null }, ...cells);
    const made = { line, cells, row };
    this.lines.set(key, made);
    return made;
  }

  /** Only the buttons of one row are stops of the Tab key: that which has the focus, or else the first. */
  rove() {
    if (!this.stops) return;
    const lines = [...this.body.children];
    const chosen = lines.find((line) => line.contains(document.activeElement)) ?? this.last ?? lines[0];
    this.choose(lines.includes(chosen) ? chosen : lines[0]);
  }

  choose(chosen) {
    this.last = chosen;
    for (const line of this.body.children) {
      const stop = line === chosen ? "0" : "-1";
      if (line.getAttribute("tabindex") === stop) continue;
      line.setAttribute("tabindex", stop);
      for (const button of line.querySelectorAll("button")) button.setAttribute("tabindex", stop);
    }
  }
}
