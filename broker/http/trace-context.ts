import { randomUUID } from 'node:crypto';
import type { Trace } from '../service/spans.ts';

const allZero = /^0+$/;

/** W3C Trace Context, section 3.2; of later versions the part that this one knows. */
export function readTrace(traceparent: string | undefined, tracestate: string | undefined): Trace | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(traceparent ?? '');
  if (match === null) return undefined;
  const [, version = '', id = '', parent = '', flags = '', rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (allZero.test(id) || allZero.test(parent)) return undefined;
  const span = randomUUID().replaceAll('-', '').slice(0, 16);
  // Opaque to us; passed on as it came if it is short and clean enough to stand in a header.
  const state = tracestate !== undefined && /^[\x20-\x7e]{1,512}$/.test(tracestate) ? tracestate : undefined;
  return {
    id,
    parent,
    sampled: (Number.parseInt(flags, 16) & 1) === 1,
    state,
    headers: {
      traceparent: `00-${id}-${allZero.test(span) ? parent : span}-${flags}`,
      ...(state !== undefined && { tracestate: state }),
    },
  };
}
