import { cut, pad, widthOf } from './text.ts';

/** Where a command's output goes. */
export interface Screen {
  /** Columns; unlimited where no person looks, so that nothing is cut away from a pipe. */
  readonly width: number;
  readonly paint: Paint;
}

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green';
export type Paint = (style: Style, text: string) => string;

const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  yellow: [33, 39],
  green: [32, 39],
};
const NARROWEST = 40;

/** @param stream what is known of standard output. Colour is for a terminal whose user has not said no (no-color.org). */
export function screenOf(
  stream: { readonly isTTY?: boolean | undefined; readonly columns?: number | undefined },
  env: NodeJS.ProcessEnv,
): Screen {
  const isTerminal = stream.isTTY === true;
  const isColoured = isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return {
    width: isTerminal ? Math.max(NARROWEST, stream.columns ?? 80) : Number.POSITIVE_INFINITY,
    paint: (style, text) => (isColoured ? `\u{1b}[${CODES[style][0]}m${text}\u{1b}[${CODES[style][1]}m` : text),
  };
}

export interface Column<Row> {
  readonly title: string;
  /** Plain text, without colour. */
  readonly text: (row: Row) => string;
  readonly style?: (row: Row) => Style | null;
  /** Columns that may shrink give way in this order, lowest first, each down to its `least`. */
  readonly gives?: number;
  readonly least?: number;
  /** Where even that is too much, columns are left out in this order, lowest first. */
  readonly drops?: number;
}

const GAP = '  ';

/** A table of aligned columns, a line each, with its titles; what is wider than the screen is cut. */
export function table<Row>(all: readonly Column<Row>[], rows: readonly Row[], screen: Screen): string[] {
  const columns = affordable(all, rows, screen.width);
  const widths = fit(columns, rows, screen.width);
  const line = (cells: readonly string[], painted: (cell: string, at: number) => string) =>
    cells
      .map((cell, at) => {
        const shown = cut(cell, widths[at]!);
        // The last column is not padded: trailing spaces would wrap a line that fits.
        const padding = at === cells.length - 1 ? '' : pad(shown, widths[at]!).slice(shown.length);
        return painted(shown, at) + padding;
      })
      .join(GAP)
      .trimEnd();
  const titles = columns.map(({ title }) => title);
  return [
    line(titles, (cell) => screen.paint('dim', cell)),
    ...rows.map((row) =>
      line(
        columns.map(({ text }) => text(row)),
        (cell, at) => {
          const style = columns[at]!.style?.(row) ?? null;
          return style === null ? cell : screen.paint(style, cell);
        },
      ),
    ),
  ];
}

/** The columns that there is room for when each is as narrow as it may be. */
function affordable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): readonly Column<Row>[] {
  const least = columns.map((column) => (column.gives === undefined ? widest(column, rows) : leastOf(column)));
  const [dropped] = columns.filter(({ drops }) => drops !== undefined).toSorted((a, b) => a.drops! - b.drops!);
  if (total(least) <= width || dropped === undefined) return columns;
  return affordable(
    columns.filter((column) => column !== dropped),
    rows,
    width,
  );
}

function fit<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): number[] {
  const widths = columns.map((column) => widest(column, rows));
  let over = total(widths) - width;
  const giving = columns
    .map((column, at) => ({ at, gives: column.gives, least: leastOf(column) }))
    .filter(({ gives }) => gives !== undefined)
    .toSorted((a, b) => a.gives! - b.gives!);
  for (const { at, least } of giving) {
    const given = Math.min(Math.max(0, over), Math.max(0, widths[at]! - least));
    widths[at]! -= given;
    over -= given;
  }
  return widths;
}

function widest<Row>({ title, text }: Column<Row>, rows: readonly Row[]): number {
  return rows.reduce((most, row) => Math.max(most, widthOf(text(row))), widthOf(title));
}

function leastOf<Row>({ least, title }: Column<Row>): number {
  return least ?? widthOf(title);
}

/** With the gaps between. */
function total(widths: readonly number[]): number {
  return widths.reduce((sum, each) => sum + each, GAP.length * (widths.length - 1));
}
