import { type BrokerScene, createBrokerScene } from './broker-scene.ts';
import type { Part } from './scale-part.ts';

interface Stage {
  /** An API server of its own, without the brokers that the other benchmark compares. */
  readonly open: () => Promise<BrokerScene>;
  /** What is to be undone at the end, the last first. */
  readonly undo: (...steps: readonly (() => Promise<unknown> | void)[]) => void;
}

/** Measures, and leaves nothing behind, however that ends. */
export async function withStage(measure: (stage: Stage) => Promise<Part>): Promise<Part> {
  const steps: (() => Promise<unknown> | void)[] = [];
  try {
    return await measure({
      open: async () => {
        const scene = await createBrokerScene('1.36');
        steps.push(() => scene.end());
        await Promise.all([scene.plain.stop(), scene.tls.stop()]);
        return scene;
      },
      undo: (...more) => void steps.push(...more),
    });
  } finally {
    for (const step of steps.toReversed()) await step();
  }
}
