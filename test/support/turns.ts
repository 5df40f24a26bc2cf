/**
 * How much of the time of that work was one single turn of the event loop, 0 to 1: whoever else wants the process waits for
 * it. A share, since a machine that pauses makes all of it longer.
 */
export async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  let [last, longest, done] = [began, 0, false];
  const look = () => {
    const now = performance.now();
    [last, longest] = [now, Math.max(longest, now - last)];
    if (!done) setImmediate(look);
  };
  setImmediate(look);
  await work();
  done = true;
  return longest / (performance.now() - began);
}
