export interface Point {
  readonly x: number;
  readonly y: number;
}

/** What the least-squares line through the points rises from their first to their last, as a part of their mean; falls count as 0. */
export function growth(points: readonly Point[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [middle, level] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const spread = points.reduce((sum, { x }) => sum + (x - middle) ** 2, 0);
  if (spread === 0 || level === 0) return 0;
  const slope = points.reduce((sum, { x, y }) => sum + (x - middle) * (y - level), 0) / spread;
  const xs = points.map(({ x }) => x);
  return Math.max(0, (slope * (Math.max(...xs) - Math.min(...xs))) / level);
}
