// A list or tree that draws only the rows that are visible.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { S } from "../strings";
import { go } from "./router";

export interface Column<T> {
  id: string;
  title: string;
  /** A track of a CSS grid. */
  width: string;
  cell: (item: T) => ComponentChildren;
  /** Makes the column sortable. */
  sort?: (a: T, b: T) => number;
  /** Below this width of the grid, in px, the column is left out. */
  from?: number;
}

export interface Tree<T> {
  roots: readonly T[];
  /** None for a list. */
  children?: (item: T) => readonly T[];
  key: (item: T) => string;
  href?: (item: T) => string | undefined;
  /** What a row is marked with: `appeared`, `changed`, `went`. */
  mark?: (item: T) => string | undefined;
}

interface Row<T> {
  key: string;
  item: T;
  depth: number;
  position: number;
  siblings: number;
  parent: number;
  branches: boolean;
  open: boolean;
}

/** Which rows are open and how they are sorted; kept by view while the page is open. */
interface Kept {
  open: Set<string>;
  shut: Set<string>;
  all: boolean | undefined;
  sort: { column: string; down: boolean } | undefined;
  active: string | undefined;
  scroll: number;
}

const kept = new Map<string, Kept>();

const MOST_ROWS = 200_000;

export interface GridProps<T> {
  /** Names the grid, for what is kept of it. */
  id: string;
  label: string;
  columns: readonly Column<T>[];
  tree: Tree<T>;
  /** Rows that match, with the rows above them; all where not given. */
  match?: ((item: T) => boolean) | undefined;
  /** How deep the tree is open at first. */
  openTo?: number;
  tools?: ComponentChildren;
  empty?: ComponentChildren;
}

const rowHeight = (): number => 2 * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);

export function Grid<T>(props: GridProps<T>): JSX.Element {
  const { tree, match, openTo = 0 } = props;
  let state = kept.get(props.id);
  if (!state) kept.set(props.id, (state = { open: new Set(), shut: new Set(), all: undefined, sort: undefined, active: undefined, scroll: 0 }));
  const view = state;
  const [version, bump] = useState(0);
  const changed = (): void => bump((n) => n + 1);
  const sortBy = view.sort && props.columns.find((column) => column.id === view.sort?.column)?.sort;
  const compare = sortBy && (view.sort!.down ? (a: T, b: T) => sortBy(b, a) : sortBy);

  const { rows, cut } = useMemo(() => flatten(tree, match, view, openTo, compare), [tree, match, version, props.id, openTo, view.sort?.column, view.sort?.down]);
  const treelike = tree.children !== undefined;

  const scroller = useRef<HTMLDivElement>(null);
  const [{ top, height, width }, setBox] = useState({ top: view.scroll, height: 600, width: 1000 });
  const each = useMemo(rowHeight, []);
  useLayoutEffect(() => {
    const element = scroller.current!;
    element.scrollTop = view.scroll;
    const measure = (): void => setBox({ top: element.scrollTop, height: element.clientHeight, width: element.clientWidth });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [props.id]);

  const columns = props.columns.filter((column) => (column.from ?? 0) <= width);
  const first = Math.max(0, Math.floor(top / each) - 8);
  const last = Math.min(rows.length, Math.ceil((top + height) / each) + 8);
  const activeIndex = Math.max(0, rows.findIndex((row) => row.key === view.active));
  const idOf = (index: number): string => `${props.id}-row-${index}`;
  const [focused, setFocused] = useState(false);

  const activate = (index: number): void => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!row) return;
    view.active = row.key;
    const element = scroller.current!;
    const at = rows.indexOf(row) * each;
    // The heading covers the first row's height.
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + 2 * each > element.scrollTop + element.clientHeight) element.scrollTop = at + 2 * each - element.clientHeight;
    changed();
  };
  const toggle = (row: Row<T>, open = !row.open): void => {
    (open ? view.open : view.shut).add(row.key);
    (open ? view.shut : view.open).delete(row.key);
    changed();
  };
  const all = (open: boolean): void => {
    view.open.clear();
    view.shut.clear();
    view.all = open;
    changed();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows[activeIndex];
    const page = Math.max(1, Math.floor(height / each) - 2);
    switch (event.key) {
      case "ArrowDown": activate(activeIndex + 1); break;
      case "ArrowUp": activate(activeIndex - 1); break;
      case "PageDown": activate(activeIndex + page); break;
      case "PageUp": activate(activeIndex - page); break;
      case "Home": activate(0); break;
      case "End": activate(rows.length - 1); break;
      case "ArrowRight":
        if (!row?.branches) return;
        if (row.open) activate(activeIndex + 1);
        else toggle(row);
        break;
      case "ArrowLeft":
        if (!row) return;
        if (row.branches && row.open) toggle(row);
        else if (row.parent >= 0) activate(row.parent);
        else return;
        break;
      case " ":
        if (row?.branches) toggle(row);
        break;
      case "Enter": {
        const href = row && tree.href?.(row.item);
        if (!href) return;
        go(href);
        break;
      }
      default: return;
    }
    event.preventDefault();
  };
  const template = { gridTemplateColumns: columns.map((column) => column.width).join(" ") };

  return (
    <div class="grid-frame">
      <div class="tools">
        {props.tools}
        {treelike && (
          <span class="pair">
            <button type="button" onClick={() => all(true)}>{S.grid.expand}</button>
            <button type="button" onClick={() => all(false)}>{S.grid.collapse}</button>
          </span>
        )}
        <span class="count" role="status">{S.grid.rows(rows.length)}{cut && ` · ${S.grid.cut(MOST_ROWS)}`}</span>
      </div>
      <div
        class="grid"
        ref={scroller}
        role={treelike ? "treegrid" : "grid"}
        aria-label={props.label}
        aria-rowcount={rows.length + 1}
        aria-colcount={columns.length}
        aria-readonly="true"
        tabIndex={0}
        aria-activedescendant={focused && rows.length > 0 && activeIndex >= first && activeIndex < last ? idOf(activeIndex) : undefined}
        onFocus={(event) => event.target === event.currentTarget && setFocused(true)}
        onBlur={() => setFocused(false)}
        onKeyDown={onKey}
        onScroll={(event) => {
          view.scroll = event.currentTarget.scrollTop;
          setBox((box) => ({ ...box, top: view.scroll }));
        }}
      >
        <div class="grid-head" role="rowgroup">
          <div role="row" class="grid-row" aria-rowindex={1} style={template}>
            {columns.map((column) => {
              const sorted = view.sort?.column === column.id ? (view.sort.down ? "descending" : "ascending") : undefined;
              return (
                <div role="columnheader" key={column.id} aria-sort={sorted}>
                  {column.sort ? (
                    <button
                      type="button"
                      class="sort"
                      onClick={() => {
                        view.sort = sorted === undefined ? { column: column.id, down: false } : sorted === "ascending" ? { column: column.id, down: true } : undefined;
                        changed();
                      }}
                    >
                      {column.title}
                      <span aria-hidden="true">{sorted === "ascending" ? " ▲" : sorted === "descending" ? " ▼" : ""}</span>
                    </button>
                  ) : (
                    column.title
                  )}
                </div>
              );
            })}
          </div>
        </div>
        <div class="grid-body" role="rowgroup" style={{ height: `${rows.length * each}px` }}>
          {rows.slice(first, last).map((row, offset) => {
            const index = first + offset;
            const mark = tree.mark?.(row.item);
            const active = index === activeIndex && focused;
            return (
              <div
                role="row"
                key={row.key}
                id={idOf(index)}
                class={`grid-row${active ? " active" : ""}${mark ? ` mark-${mark}` : ""}`}
                aria-rowindex={index + 2}
                aria-level={treelike ? row.depth + 1 : undefined}
                aria-setsize={treelike ? row.siblings : undefined}
                aria-posinset={treelike ? row.position : undefined}
                aria-expanded={row.branches ? row.open : undefined}
                style={{ ...template, transform: `translateY(${index * each}px)` }}
                onClick={() => {
                  view.active = row.key;
                  changed();
                }}
              >
                {columns.map((column, at) => (
                  <div role="gridcell" key={column.id} class={at === 0 ? "main-cell" : undefined}>
                    {at === 0 && treelike && (
                      <>
                        <span class="indent" style={{ width: `${Math.min(row.depth, 40) * (width < 500 ? 0.7 : 1.2)}rem` }} />
                        {row.branches ? (
                          <button
                            type="button"
                            tabIndex={-1}
                            class="twist"
                            aria-label={row.open ? S.grid.shutOne : S.grid.openOne}
                            onClick={(event) => {
                              event.stopPropagation();
                              toggle(row);
                            }}
                          >
                            <span aria-hidden="true">{row.open ? "▾" : "▸"}</span>
                          </button>
                        ) : (
                          <span class="twist" />
                        )}
                      </>
                    )}
                    {column.cell(row.item)}
                    {at === 0 && mark && <span class="tag mark">{S.marks[mark as "appeared"] ?? mark}</span>}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
        {rows.length === 0 && <div class="empty" role="row"><div role="gridcell">{props.empty ?? S.grid.empty}</div></div>}
      </div>
    </div>
  );
}

/** The rows that are to be seen, in order. Nothing here recurses: trees of processes can be deep. */
function flatten<T>(tree: Tree<T>, match: ((item: T) => boolean) | undefined, view: Kept, openTo: number, compare: ((a: T, b: T) => number) | undefined): { rows: Row<T>[]; cut: boolean } {
  const rows: Row<T>[] = [];
  const sorted = (items: readonly T[]): readonly T[] => (compare && items.length > 1 ? [...items].sort(compare) : items);
  const stack: { item: T; key: string; depth: number; position: number; siblings: number; parent: number }[] = [];
  const push = (items: readonly T[], prefix: string, depth: number, parent: number): void => {
    const list = sorted(items);
    for (let n = list.length - 1; n >= 0; n--) {
      const item = list[n]!;
      stack.push({ item, key: `${prefix}/${tree.key(item)}`, depth, position: n + 1, siblings: list.length, parent });
    }
  };
  push(tree.roots, "", 0, -1);
  for (let next = stack.pop(); next && rows.length < MOST_ROWS; next = stack.pop()) {
    const children = tree.children?.(next.item) ?? [];
    const branches = children.length > 0;
    const open = branches && !view.shut.has(next.key) && (match !== undefined || view.open.has(next.key) || (view.all ?? next.depth < openTo));
    const index = rows.length;
    rows.push({ ...next, branches, open });
    if (open) push(children, next.key, next.depth + 1, index);
  }
  return { rows: match ? matching(rows, match) : rows, cut: rows.length >= MOST_ROWS };
}

function matching<T>(rows: Row<T>[], match: (item: T) => boolean): Row<T>[] {
  const keep = new Uint8Array(rows.length);
  for (let n = rows.length - 1; n >= 0; n--) {
    const row = rows[n]!;
    if (keep[n] || match(row.item)) {
      keep[n] = 1;
      if (row.parent >= 0) keep[row.parent] = 1;
    }
  }
  const index = new Map<number, number>();
  const found: Row<T>[] = [];
  for (const [n, row] of rows.entries()) {
    if (!keep[n]) continue;
    index.set(n, found.length);
    found.push({ ...row, parent: index.get(row.parent) ?? -1 });
  }
  // What is above stays open only if something below it is left.
  for (const [n, row] of found.entries()) row.branches = row.branches && (!row.open || found[n + 1]?.parent === n);
  return found;
}

/** The text of a filter, kept while the user types. */
export function useFilter(): [string, JSX.Element] {
  const [text, setText] = useState("");
  const [slow, setSlow] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSlow(text.trim().toLowerCase()), 120);
    return () => clearTimeout(timer);
  }, [text]);
  const input = (
    <input type="search" class="filter" aria-label={S.grid.filter} placeholder={S.grid.filter} value={text} onInput={(event) => setText(event.currentTarget.value)} />
  );
  return [slow, input];
}
