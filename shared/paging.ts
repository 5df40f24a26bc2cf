/** A part of a list that is shown by pages. */
export interface PageOf<T> {
  readonly rows: readonly T[];
  /** How many there are on all pages. */
  readonly found: number;
  /** From 1 on; the last one if the one that was asked for is beyond it. */
  readonly page: number;
  readonly pages: number;
}

export function pageOf<T>(all: readonly T[], asked: number, size: number): PageOf<T> {
  const pages = Math.max(1, Math.ceil(all.length / size));
  const page = Math.min(Math.max(1, asked), pages);
  return { rows: all.slice((page - 1) * size, page * size), found: all.length, page, pages };
}
