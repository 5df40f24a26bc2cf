/** Milliseconds in which nobody wonders yet. */
const unnoticed = 1000;

/** Does the work; tells once if it takes so long that whoever waits wants to know for what. */
export async function tellIfSlow<T>(tell: (() => void) | undefined, work: () => Promise<T>): Promise<T> {
  if (tell === undefined) return work();
  const timer = setTimeout(tell, unnoticed);
  // What is waited for keeps the process, if anything does.
  timer.unref();
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}
