/**
 * Does the work for each, so many at a time. Whatever fails, the others are done too; then the first failure is thrown.
 * Results are in the order of the items.
 */
export async function inParallel<T, R>(
  items: Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const queue = Array.from(items).entries();
  const results: R[] = [];
  const failures: unknown[] = [];
  const worker = async () => {
    for (const [index, item] of queue) {
      try {
        results[index] = await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
