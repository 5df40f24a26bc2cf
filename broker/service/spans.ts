import { KleisError } from '../../shared/errors.ts';

/** W3C Trace Context, for one place in the work for a request. */
export interface Trace {
  readonly id: string;
  /** Of whoever comes before: the caller, or a part of the work. */
  readonly parent: string;
  /** Whoever began it keeps it: it can be looked up. */
  readonly sampled: boolean;
  /** Opaque to us. */
  readonly state: string | undefined;
  /** For the calls that are made from there. */
  readonly headers: Readonly<Record<string, string>>;
}

export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** The parts of a request that are told apart. */
export type Step = 'verify' | 'decide' | 'lease' | 'mint' | 'audit';

/** A part of the work for a request, as whoever collects traces sees it. Never with a token, a claim, or a message. */
export interface Span {
  readonly trace: Trace;
  begin(step: Step, attributes?: Attributes): Span;
  describe(attributes: Attributes): void;
  /** `failure`: why it failed, in a word of ours. */
  end(failure?: string): void;
}

export interface RequestStart {
  readonly method: string;
  /** The address as the table of routes has it. */
  readonly route: string;
  readonly attributes: Attributes;
  /** By `performance.now()`. */
  readonly startedAt: number;
  /** As the caller sent it. */
  readonly caller: Trace | undefined;
}

/** Sends spans to a collector. */
export interface Spans {
  begin(request: RequestStart): Span;
  /** Sends what is left, for so many milliseconds at most. Never rejects. */
  end(patience: number): Promise<void>;
}

/**
 * Whether the environment asks for spans to be sent, as the OpenTelemetry specification has it. Nothing of OpenTelemetry is
 * loaded unless it does.
 */
export function wantsSpans(env: Readonly<Record<string, string | undefined>>): boolean {
  const said = (name: string) => (env[name] ?? '').trim();
  if (said('OTEL_SDK_DISABLED').toLowerCase() === 'true' || said('OTEL_TRACES_EXPORTER') === 'none') return false;
  return said('OTEL_EXPORTER_OTLP_ENDPOINT') !== '' || said('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') !== '';
}

/** Does the work in a span of its own, which ends with it. */
export function inSpan<T>(parent: Span, step: Step, work: (trace: Trace) => T, attributes?: Attributes): T {
  const span = parent.begin(step, attributes);
  const fail = (error: unknown): never => {
    span.end(error instanceof KleisError ? error.code : error instanceof Error ? error.name : 'unexpected');
    throw error;
  };
  let result: T;
  try {
    result = work(span.trace);
  } catch (error) {
    return fail(error);
  }
  if (!(result instanceof Promise)) {
    span.end();
    return result;
  }
  return result.then((value: unknown) => {
    span.end();
    return value;
  }, fail) as T;
}
