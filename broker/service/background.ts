import { clean } from '../../shared/text.ts';

/** Work that goes on when its request is over; the end of the process waits for it. */
export interface Background {
  /** Resolves when it is done, well or not; never rejects. */
  run(what: string, work: () => Promise<unknown>): Promise<void>;
  /** Resolves when nothing is under way, or after so many milliseconds. True if nothing is. */
  settle(patience: number): Promise<boolean>;
}

export function createBackground(onFailure: (what: string, reason: string) => void): Background {
  const running = new Set<Promise<void>>();
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      onFailure(what, clean(error instanceof Error ? error.message : error, 400));
    }
  };
  return {
    async run(what, work) {
      const one = attempt(what, work);
      running.add(one);
      await one;
      running.delete(one);
    },
    async settle(patience) {
      const deadline = performance.now() + patience;
      while (running.size > 0) {
        const left = deadline - performance.now();
        if (left <= 0) return false;
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise((resolve) => {
          timer = setTimeout(resolve, left);
        });
        await Promise.race([Promise.all(running), late]);
        clearTimeout(timer);
      }
      return true;
    },
  };
}
