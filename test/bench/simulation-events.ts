/** What is to happen, by its time. */
interface Events {
  add(at: number, what: () => void): void;
  /** Until then. */
  run(end: number): void;
}

/** A binary heap; of the same time, whoever was added first. */
export function createEvents(): Events {
  interface Event {
    readonly at: number;
    readonly order: number;
    readonly what: () => void;
  }
  const heap: Event[] = [];
  let added = 0;
  const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);
  function pop(): Event {
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = last;
    return first;
  }
  return {
    add(at, what) {
      const event = { at, order: (added += 1), what };
      let place = heap.push(event) - 1;
      while (place > 0) {
        const parent = (place - 1) >> 1;
        if (!before(event, heap[parent]!)) break;
        heap[place] = heap[parent]!;
        place = parent;
      }
      heap[place] = event;
    },
    run(end) {
      while (heap.length > 0 && heap[0]!.at < end) pop().what();
    },
  };
}
